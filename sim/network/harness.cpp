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

// A signal of the network that only benches read.
struct Signal {
    const uint8_t* word = nullptr;
    std::size_t size = 0;

    Signal(VerilatedContext& context, const char* name) {
        const VerilatedScope* scope = context.scopeFind(SCOPE(ENGINE_TOP));
        const VerilatedVar* found = scope ? scope->varFind(name) : nullptr;
        if (!found) return;
        word = static_cast<const uint8_t*>(found->datap());
        size = found->totalSize();
    }
};

constexpr std::size_t TIMED = 8192;  // elements of a layer whose cycle is recorded

// What a layer sends: an element of ``width`` bits, and above it whether there is one.
struct Probe {
    Signal signal;
    int width;
    std::vector<int64_t> elements{}, cycles{};

    void record(int64_t cycle) {
        uint64_t now = 0;
        std::memcpy(&now, signal.word, signal.size);
        if (!(now >> width)) return;
        elements.push_back(int64_t(now << (64 - width)) >> (64 - width));
        if (cycles.size() < TIMED) cycles.push_back(cycle);
    }
};

// Which layers work: a bit each. ``counts`` are those of all cycles up to each answer, in turn.
struct Busy {
    Signal signal;
    std::size_t bits;
    std::vector<int64_t> now = std::vector<int64_t>(bits), counts{};

    void record() {
        for (std::size_t i = 0; i < bits; ++i) now[i] += signal.word[i / 8] >> i % 8 & 1;
    }
};

enum State { DONE, SILENT, BABBLING, STOPPED };   // same as in sim.network.record
enum Violation { WITHDRAWN, CHANGED, IN_RESET };  // same as in sim.network.record

class Network {
public:
    explicit Network(int seed) : dut_{randomised(context_, seed)} { reset(5); }

    ~Network() {
        dut_->final();
        // Scopes deregister from the context that the thread used last, which may be gone already.
        Verilated::threadContextp(&context_);
    }

    void reset(int cycles) {
        dut_->aresetn = 0;
        dut_->s_axis_tvalid = 0;
        dut_->m_axis_tready = 0;
        for (int i = 0; i < cycles; ++i) {
            dut_->eval();
            if (dut_->s_axis_tready || dut_->m_axis_tvalid) violate(IN_RESET);
            tick();
        }
        dut_->aresetn = 1;
    }

    // Sends images, and takes beats until each has been answered and ``tail`` cycles are over, or
    // ``limit`` cycles have passed.
    State run(const uint8_t* pixels, std::size_t width, const int64_t* lasts, int64_t images,
              double stall, double pressed, uint64_t seed, int64_t patience, int64_t most,
              int64_t tail, int64_t limit) {
        begun_ = cycle_;
        for (auto* record : {&beats, &first_in, &last_out, &violations}) record->clear();
        for (auto& probe : probes) probe.elements.clear(), probe.cycles.clear();
        if (busy) busy = std::make_unique<Busy>(Busy{busy->signal, busy->bits});
        Random gaps, pressure;
        gaps.state = seed * 2 + 1;
        pressure.state = seed * 2 + 3;
        gaps.threshold = uint64_t(stall * 4294967296.0);
        pressure.threshold = uint64_t(pressed * 4294967296.0);
        int64_t beat = 0, sent = 0, answered = 0, quiet = 0, left = tail;
        bool offered = false, opening = true, waits = false;
        int64_t waiting = 0;
        for (;; --limit) {
            if (!limit) return STOPPED;
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
            int64_t score = 0;
            std::memcpy(&score, &dut_->m_axis_tdata, sizeof dut_->m_axis_tdata);
            const int64_t flags = dut_->m_axis_tlast | dut_->m_axis_tuser << 1;
            if (waits && !dut_->m_axis_tvalid) violate(WITHDRAWN);
            const int64_t offer = score << 2 | flags;
            if (waits && dut_->m_axis_tvalid && offer != waiting) violate(CHANGED);
            waits = dut_->m_axis_tvalid && !given;
            waiting = offer;
            if (given) {
                beats.push_back(score);
                beats.push_back(flags);
            }
            if (taken && opening) first_in.push_back(cycle_);
            tick();
            if (taken) {
                opening = beat == lasts[sent];
                sent += opening;
                ++beat;
                offered = false;
            }
            if (given && (flags & 1)) {
                last_out.push_back(cycle_ - 1);
                ++answered;
                if (busy) busy->counts.insert(busy->counts.end(), busy->now.begin(), busy->now.end());
            }
            quiet = taken || given ? 0 : quiet + 1;
            if (int64_t(beats.size()) > 2 * most) return BABBLING;
            if (quiet > patience) return SILENT;
            if (answered >= images && !left--) return DONE;
        }
    }

    // Cycles of the latest run.
    int64_t cycles() const { return cycle_ - begun_; }

    // Records what a layer sends from now on; false where there is no such layer.
    bool watch(const char* name, int width) {
        Probe probe{Signal{context_, name}, width};
        if (!probe.signal.word) return false;
        probes.push_back(probe);
        return true;
    }

    // Counts which layers work from now on; false where nothing says so.
    bool count(const char* name, std::size_t bits) {
        Busy found{Signal{context_, name}, bits};
        if (!found.signal.word) return false;
        busy = std::make_unique<Busy>(found);
        return true;
    }

    std::vector<int64_t> beats, first_in, last_out, violations;
    std::vector<Probe> probes;
    std::unique_ptr<Busy> busy;

private:
    static Vengine* randomised(VerilatedContext& context, int seed) {
        context.randReset(2);
        context.randSeed(seed);
        return new Vengine{&context};
    }

    void violate(Violation which) {
        violations.push_back(cycle_);
        violations.push_back(which);
    }

    void tick() {
        for (auto& probe : probes) probe.record(cycle_);
        if (busy) busy->record();
        dut_->aclk = 1;
        dut_->eval();
        dut_->aclk = 0;
        dut_->eval();
        ++cycle_;
    }

    VerilatedContext context_;
    std::unique_ptr<Vengine> dut_;
    int64_t cycle_ = 0, begun_ = 0;
};

}  // namespace

#define PUBLIC extern "C" __attribute__((visibility("default")))

PUBLIC void* network_open(int seed) { return new Network(seed); }
PUBLIC void network_close(void* network) { delete static_cast<Network*>(network); }
PUBLIC void network_reset(void* network, int cycles) {
    static_cast<Network*>(network)->reset(cycles);
}
PUBLIC int network_run(void* network, const uint8_t* pixels, uint64_t width, const int64_t* lasts,
                       int64_t images, double stall, double pressure, uint64_t seed,
                       int64_t patience, int64_t most, int64_t tail, int64_t limit) {
    return static_cast<Network*>(network)->run(pixels, width, lasts, images, stall, pressure, seed,
                                               patience, most, tail, limit);
}
PUBLIC int network_watch(void* network, const char* probe, int width) {
    return static_cast<Network*>(network)->watch(probe, width);
}
PUBLIC int64_t network_cycles(void* network) {
    return static_cast<Network*>(network)->cycles();
}
PUBLIC void network_ignore(void* network) { static_cast<Network*>(network)->probes.clear(); }
PUBLIC int network_count(void* network, const char* probe, uint64_t bits) {
    return static_cast<Network*>(network)->count(probe, bits);
}
// Copies a record and returns its length; with a null pointer only the length. Behind the records
// of the pins come those of the layers that are watched: elements and cycles of each.
PUBLIC int64_t network_record(void* network, int which, int64_t* into) {
    auto* one = static_cast<Network*>(network);
    static const std::vector<int64_t> none;
    std::vector<const std::vector<int64_t>*> records{
        &one->beats, &one->first_in, &one->last_out, &one->violations,
        one->busy ? &one->busy->counts : &none};
    for (const auto& probe : one->probes) {
        records.push_back(&probe.elements);
        records.push_back(&probe.cycles);
    }
    const auto& record = *records[which];
    if (into) std::memcpy(into, record.data(), record.size() * sizeof(int64_t));
    return int64_t(record.size());
}
