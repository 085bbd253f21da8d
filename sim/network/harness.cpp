// SPDX-License-Identifier: Apache-2.0
// A Verilated network with its pins driven in C++; sim.network.compiled loads it as a library.

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "Vengine.h"
#include "verilated.h"
#include "verilated_sym_props.h"

namespace {

struct Random {
    uint64_t state = 1, threshold = 0;  // out of 2^32
    bool stalls() {
        if (!threshold) return false;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return (state * UINT64_C(0x2545F4914F6CDD1D) >> 32) < threshold;
    }
};

#define TEXT(word) #word
#define SCOPE(top) "TOP." TEXT(top) ".network"

// What a layer sends: an element of ``width`` bits, and above it whether there is one.
struct Probe {
    const uint8_t* word = nullptr;
    std::size_t size = 0;
    int width = 0;

    Probe(VerilatedContext& context, const char* name, int bits) : width(bits) {
        const VerilatedScope* scope = context.scopeFind(SCOPE(ENGINE_TOP));
        const VerilatedVar* found = scope ? scope->varFind(name) : nullptr;
        if (!found) return;
        word = static_cast<const uint8_t*>(found->datap());
        size = found->totalSize();
    }
    void record(std::vector<int64_t>& elements) const {
        uint64_t now = 0;
        std::memcpy(&now, word, size);
        if (now >> width) elements.push_back(int64_t(now << (64 - width)) >> (64 - width));
    }
};

enum State { DONE, SILENT, BABBLING };  // same as in sim.network.compiled

class Network {
public:
    explicit Network(int seed) : dut_{randomised(context_, seed)} { reset(5); }

    void reset(int cycles) {
        dut_->aresetn = 0;
        dut_->s_axis_tvalid = 0;
        dut_->m_axis_tready = 0;
        for (int i = 0; i < cycles; ++i) tick();
        dut_->aresetn = 1;
    }

    // Sends images, and takes beats until each has been answered and ``tail`` cycles are over.
    State run(const uint8_t* pixels, std::size_t width, const int64_t* lasts, int64_t images,
              double stall, uint64_t seed, int64_t patience, int64_t most, int64_t tail) {
        beats.clear();
        first_in.clear();
        last_out.clear();
        Random gaps, pressure;
        gaps.state = seed * 2 + 1;
        pressure.state = seed * 2 + 3;
        gaps.threshold = pressure.threshold = uint64_t(stall * 4294967296.0);
        int64_t beat = 0, sent = 0, answered = 0, quiet = 0, left = tail;
        bool offered = false, opening = true;
        while (true) {
            if (sent < images && !offered) offered = !gaps.stalls();
            dut_->s_axis_tvalid = offered;
            if (offered) {
                std::memcpy(&dut_->s_axis_tdata, pixels + beat * width, width);
                dut_->s_axis_tlast = beat == lasts[sent];
            }
            dut_->m_axis_tready = !pressure.stalls();
            dut_->eval();
            const bool taken = offered && dut_->s_axis_tready;
            const bool given = dut_->m_axis_tvalid && dut_->m_axis_tready;
            if (given) {
                int64_t score = 0;
                std::memcpy(&score, &dut_->m_axis_tdata, sizeof dut_->m_axis_tdata);
                beats.push_back(score);
                beats.push_back(dut_->m_axis_tlast | dut_->m_axis_tuser << 1);
            }
            if (taken && opening) first_in.push_back(cycle_);
            tick();
            if (taken) {
                opening = beat == lasts[sent];
                sent += opening;
                ++beat;
                offered = false;
            }
            if (given && (beats.back() & 1)) {
                last_out.push_back(cycle_ - 1);
                ++answered;
            }
            quiet = taken || given ? 0 : quiet + 1;
            if (int64_t(beats.size()) > 2 * most) return BABBLING;
            if (quiet > patience) return SILENT;
            if (answered >= images && !left--) return DONE;
        }
    }

    // Records what a layer sends from now on; false where there is no such layer.
    bool watch(const char* name, int width) {
        probe_ = std::make_unique<Probe>(context_, name, width);
        elements.clear();
        if (!probe_->word) probe_.reset();
        return bool(probe_);
    }

    std::vector<int64_t> beats, first_in, last_out, elements;

private:
    static Vengine* randomised(VerilatedContext& context, int seed) {
        context.randReset(2);
        context.randSeed(seed);
        return new Vengine{&context};
    }

    void tick() {
        if (probe_) probe_->record(elements);
        dut_->aclk = 1;
        dut_->eval();
        dut_->aclk = 0;
        dut_->eval();
        ++cycle_;
    }

    VerilatedContext context_;
    std::unique_ptr<Vengine> dut_;
    std::unique_ptr<Probe> probe_;
    int64_t cycle_ = 0;
};

}  // namespace

#define PUBLIC extern "C" __attribute__((visibility("default")))

PUBLIC void* network_open(int seed) { return new Network(seed); }
PUBLIC void network_close(void* network) { delete static_cast<Network*>(network); }
PUBLIC void network_reset(void* network, int cycles) {
    static_cast<Network*>(network)->reset(cycles);
}
PUBLIC int network_run(void* network, const uint8_t* pixels, uint64_t width, const int64_t* lasts,
                       int64_t images, double stall, uint64_t seed, int64_t patience, int64_t most,
                       int64_t tail) {
    return static_cast<Network*>(network)->run(pixels, width, lasts, images, stall, seed, patience,
                                               most, tail);
}
PUBLIC int network_watch(void* network, const char* probe, int width) {
    return static_cast<Network*>(network)->watch(probe, width);
}
// Copies a record and returns its length; with a null pointer only the length.
PUBLIC int64_t network_record(void* network, int which, int64_t* into) {
    auto* one = static_cast<Network*>(network);
    const std::vector<int64_t>* records[] = {&one->beats, &one->first_in, &one->last_out,
                                           &one->elements};
    const auto& record = *records[which];
    if (into) std::memcpy(into, record.data(), record.size() * sizeof(int64_t));
    return int64_t(record.size());
}
