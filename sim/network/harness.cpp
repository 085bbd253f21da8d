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

// What a layer sends: ``lanes`` elements of ``width`` bits, and above them whether there are any.
struct Probe {
    Signal signal;
    int width, lanes;
    std::vector<int64_t> elements{}, cycles{};

    void record(int64_t cycle) {
        if (!bit(width * lanes)) return;
        for (int lane = 0; lane < lanes; ++lane) {
            elements.push_back(element(lane * width));
            if (cycles.size() < TIMED) cycles.push_back(cycle);
        }
    }

private:
    bool bit(int place) const { return signal.word[place / 8] >> place % 8 & 1; }

    int64_t element(int low) const {
        // A byte more than an element has, as far as there are any.
        uint64_t bits = 0;
        const std::size_t first = low / 8;
        for (std::size_t i = 0; i < 8 && first + i < signal.size; ++i)
            bits |= uint64_t(signal.word[first + i]) << 8 * i;
        return int64_t(bits >> low % 8 << (64 - width)) >> (64 - width);
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

// Pins that only some networks have.
template <class Pins> auto put_last(Pins& pins, bool last, int)
    -> decltype(void(pins.s_axis_tlast)) { pins.s_axis_tlast = last; }
template <class Pins> void put_last(Pins&, bool, long) {}
template <class Pins> auto put_user(Pins& pins, bool user, int)
    -> decltype(void(pins.s_axis_tuser)) { pins.s_axis_tuser = user; }
template <class Pins> void put_user(Pins&, bool, long) {}
template <class Pins> auto put_tid(Pins& pins, int64_t tid, int)
    -> decltype(void(pins.s_axis_tid)) { pins.s_axis_tid = tid; }
template <class Pins> void put_tid(Pins&, int64_t, long) {}
template <class Pins> auto tid_of(Pins& pins, int) -> decltype(int64_t(pins.m_axis_tid)) {
    return pins.m_axis_tid;
}
template <class Pins> int64_t tid_of(Pins&, long) { return 0; }
template <class Pins> auto put_load(Pins& pins, bool valid, uint8_t byte, bool last, bool ready, int)
    -> decltype(void(pins.s_axis_load_tdata)) {
    pins.s_axis_load_tvalid = valid;
    pins.s_axis_load_tdata = byte;
    pins.s_axis_load_tlast = last;
    pins.m_axis_load_tready = ready;
}
template <class Pins> void put_load(Pins&, bool, uint8_t, bool, bool, long) {}
template <class Pins> auto load_ready(Pins& pins, int) -> decltype(bool(pins.s_axis_load_tready)) {
    return pins.s_axis_load_tready;
}
template <class Pins> bool load_ready(Pins&, long) { return false; }
constexpr int NO_REPLY = -1;
template <class Pins> auto reply_of(Pins& pins, int) -> decltype(int(pins.m_axis_load_tdata)) {
    return pins.m_axis_load_tvalid ? int(pins.m_axis_load_tdata) : NO_REPLY;
}
template <class Pins> int reply_of(Pins&, long) { return NO_REPLY; }

// Parameter packets that are loaded during a run: their bytes, where each ends among them, and
// after how many packets that were sent it is offered.
struct Loads {
    const uint8_t* bytes;
    const int64_t* ends;
    const int64_t* after;
    int64_t count;
};

// What becomes of a load; same as sim.network.record.LoadEvent.
struct LoadEvent {
    int64_t cycle, entered, answered, taken, answer, answer_cycle;
};

constexpr std::size_t WORDS = (sizeof(Vengine::m_axis_tdata) + 7) / 8;  // of a beat of an answer

// A beat of an answer: its data in words, and its marks: tlast, tuser, and from bit 2 on tid.
struct Beat {
    int64_t words[WORDS + 1] = {};
    bool operator!=(const Beat& other) const {
        return std::memcmp(words, other.words, sizeof words) != 0;
    }
};

enum State { DONE, SILENT, BABBLING, STOPPED };   // same as in sim.network.record
enum Violation { WITHDRAWN, CHANGED, IN_RESET, LOADING };  // same as in sim.network.record

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
        put_load(*dut_, false, 0, false, false, 0);
        for (int i = 0; i < cycles; ++i) {
            dut_->eval();
            if (dut_->s_axis_tready || dut_->m_axis_tvalid || load_ready(*dut_, 0)
                || reply_of(*dut_, 0) != NO_REPLY)
                violate(IN_RESET);
            tick();
        }
        dut_->aresetn = 1;
    }

    // Sends ``packets``, a beat of ``width`` bytes with marks as those of an answer after another,
    // and takes beats until each has been answered and ``tail`` cycles are over, or ``limit`` cycles
    // have passed. ``loads`` are sent beside them.
    State run(const uint8_t* beats_in, std::size_t width, const int64_t* marks, int64_t packets,
              const Loads& loads, double stall, double pressed, uint64_t seed, int64_t patience,
              int64_t most, int64_t tail, int64_t limit) {
        begun_ = cycle_;
        for (auto* record : {&beats, &first_in, &last_out, &violations, &load_events})
            record->clear();
        for (auto& probe : probes) probe.elements.clear(), probe.cycles.clear();
        if (busy) busy = std::make_unique<Busy>(Busy{busy->signal, busy->bits});
        Random gaps, pressure, load_gaps, load_pressure;
        gaps.state = seed * 2 + 1;
        pressure.state = seed * 2 + 3;
        load_gaps.state = seed * 2 + 5;
        load_pressure.state = seed * 2 + 7;
        gaps.threshold = load_gaps.threshold = uint64_t(stall * 4294967296.0);
        pressure.threshold = load_pressure.threshold = uint64_t(pressed * 4294967296.0);
        int64_t beat = 0, sent = 0, answered = 0, quiet = 0, left = tail;
        bool offered = false, opening = true, waits = false;
        Beat waiting;
        int64_t load = 0, byte = 0;
        int replied = NO_REPLY;  // the answer to a load that waits
        bool load_offered = false, loading = false;
        LoadEvent event{};
        for (;; --limit) {
            if (!limit) {
                if (loading) keep(event, reply_of(*dut_, 0));
                return STOPPED;
            }
            if (load < loads.count && sent >= loads.after[load] && byte < loads.ends[load]
                && !load_offered)
                load_offered = !load_gaps.stalls();
            const bool last_byte = load_offered && byte + 1 == loads.ends[load];
            const bool takes_reply = !load_pressure.stalls();
            put_load(*dut_, load_offered, load_offered ? loads.bytes[byte] : 0, last_byte,
                     takes_reply, 0);
            if (sent < packets && !offered) offered = !gaps.stalls();
            dut_->s_axis_tvalid = offered;
            if (offered) {
                std::memcpy(&dut_->s_axis_tdata, beats_in + beat * width, width);
                put_last(*dut_, marks[beat] & 1, 0);
                put_user(*dut_, marks[beat] >> 1 & 1, 0);
                put_tid(*dut_, marks[beat] >> 2, 0);
            }
            dut_->m_axis_tready = !pressure.stalls();
            dut_->eval();
            const bool taken = offered && dut_->s_axis_tready;
            const bool given = dut_->m_axis_tvalid && dut_->m_axis_tready;
            Beat offer;
            std::memcpy(offer.words, &dut_->m_axis_tdata, sizeof dut_->m_axis_tdata);
            offer.words[WORDS] =
                dut_->m_axis_tlast | dut_->m_axis_tuser << 1 | tid_of(*dut_, 0) << 2;
            if (waits && !dut_->m_axis_tvalid) violate(WITHDRAWN);
            if (waits && dut_->m_axis_tvalid && offer != waiting) violate(CHANGED);
            waits = dut_->m_axis_tvalid && !given;
            waiting = offer;
            if (given) {
                beats.insert(beats.end(), offer.words, offer.words + WORDS + 1);
            }
            const int reply = reply_of(*dut_, 0);
            const bool load_taken = load_offered && load_ready(*dut_, 0);
            if (replied != NO_REPLY && reply != replied)
                violate(reply == NO_REPLY ? WITHDRAWN : CHANGED);
            if (reply != NO_REPLY && loading) {
                loading = false;
                keep(event, reply);
            } else if (reply != NO_REPLY && replied == NO_REPLY) {
                violate(LOADING);
            }
            if (load_taken) {
                if (!loading) event = {cycle_, sent, answered, 0, NO_REPLY, NO_REPLY};
                loading = true;
                ++event.taken;
            }
            if (loading && (taken || given)) violate(LOADING);
            if (taken && opening) first_in.push_back(cycle_);
            tick();
            if (load_taken) {
                ++byte;
                load_offered = false;
            }
            replied = reply != NO_REPLY && !takes_reply ? reply : NO_REPLY;
            if (reply != NO_REPLY && takes_reply) byte = load < loads.count ? loads.ends[load++] : 0;
            if (taken) {
                opening = marks[beat] & 1;
                sent += opening;
                ++beat;
                offered = false;
            }
            if (given && (offer.words[WORDS] & 1)) {
                last_out.push_back(cycle_ - 1);
                ++answered;
                if (busy) busy->counts.insert(busy->counts.end(), busy->now.begin(), busy->now.end());
            }
            quiet = taken || given || load_taken ? 0 : quiet + 1;
            if (int64_t(beats.size()) > int64_t(WORDS + 1) * most) return BABBLING;
            if (quiet > patience) return SILENT;
            if (answered >= packets && load >= loads.count && !left--) return DONE;
        }
    }

    // Cycles of the latest run.
    int64_t cycles() const { return cycle_ - begun_; }

    // Records what a layer sends from now on; false where there is no such layer.
    bool watch(const char* name, int width, int lanes) {
        Probe probe{Signal{context_, name}, width, lanes};
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

    std::vector<int64_t> beats, first_in, last_out, violations, load_events;
    std::vector<Probe> probes;
    std::unique_ptr<Busy> busy;

private:
    static Vengine* randomised(VerilatedContext& context, int seed) {
        context.randReset(2);
        context.randSeed(seed);
        return new Vengine{&context};
    }

    void keep(LoadEvent event, int reply) {
        event.answer = reply;
        event.answer_cycle = cycle_;
        const auto* words = &event.cycle;
        load_events.insert(load_events.end(), words, words + sizeof event / sizeof *words);
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
PUBLIC int network_words() { return WORDS; }
PUBLIC int network_run(void* network, const uint8_t* beats, uint64_t width, const int64_t* marks,
                       int64_t packets, const uint8_t* bytes, const int64_t* ends,
                       const int64_t* after, int64_t loads, double stall, double pressure,
                       uint64_t seed, int64_t patience, int64_t most, int64_t tail, int64_t limit) {
    return static_cast<Network*>(network)->run(beats, width, marks, packets,
                                               {bytes, ends, after, loads}, stall, pressure, seed,
                                               patience, most, tail, limit);
}
PUBLIC int network_watch(void* network, const char* probe, int width, int lanes) {
    return static_cast<Network*>(network)->watch(probe, width, lanes);
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
        one->busy ? &one->busy->counts : &none, &one->load_events};
    for (const auto& probe : one->probes) {
        records.push_back(&probe.elements);
        records.push_back(&probe.cycles);
    }
    const auto& record = *records[which];
    if (into) std::memcpy(into, record.data(), record.size() * sizeof(int64_t));
    return int64_t(record.size());
}
