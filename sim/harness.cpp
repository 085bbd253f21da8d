// SPDX-License-Identifier: Apache-2.0
// A Verilated engine with its pins driven in C++; sim.compiled loads it as a shared library.
//
// The streams move in every cycle, also during a register access: it happens on live hardware, in
// the middle of a packet. The harness records, sim.verify judges.

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "Vengine.h"
#include "verilated.h"
#include "verilated_sym_props.h"

namespace {

constexpr int PATIENCE = 1000;  // cycles until a register access counts as unanswered
constexpr int64_t NO_ANSWER = -1;
constexpr int MAX_UNITS = 32;

// Ports are plain integers up to 64 bits and arrays of words above.
template <class T>
uint8_t* bytes(T& port) {
    return reinterpret_cast<uint8_t*>(&port);
}
template <std::size_t W>
uint8_t* bytes(VlWide<W>& port) {
    return reinterpret_cast<uint8_t*>(port.data());
}

// The pin s_axis_tuser, or nullptr if the engine has NEXT_SET instead.
template <class T>
auto user_pin(T& dut, int) -> decltype(&dut.s_axis_tuser) {
    return &dut.s_axis_tuser;
}
template <class T>
uint32_t* user_pin(T&, long) {
    return nullptr;
}

#define TEXT(word) #word
#define SCOPE(top) "TOP." TEXT(top) ".engine.datapath"

// What trace_busy says: a bit per unit that works. Nothing where there is no such probe.
class Probe {
public:
    Probe(VerilatedContext& context, const std::string& datapath) {
        const VerilatedScope* scope = context.scopeFind(datapath.c_str());
        const VerilatedVar* probe = scope ? scope->varFind("trace_busy") : nullptr;
        if (!probe) return;
        word = static_cast<const uint8_t*>(probe->datap());
        size = probe->entSize();
    }

    bool there() const { return word; }
    uint32_t read() const {
        uint32_t units = 0;
        if (word) std::memcpy(&units, word, size);
        return units;
    }

private:
    const uint8_t* word = nullptr;
    std::size_t size = 0;
};

// The probe of the datapath, or of each worker's.
std::vector<Probe> find_probes(VerilatedContext& context) {
    const std::string datapath = SCOPE(ENGINE_TOP);
    std::vector<Probe> found{Probe(context, datapath)};
    if (found[0].there()) return found;
    found.clear();
    while (true) {
        const std::string worker = ".worker_" + std::to_string(found.size());
        const Probe next(context, datapath + worker + ".datapath");
        if (!next.there()) return found;
        found.push_back(next);
    }
}

struct Random {
    uint64_t state = 1, gaps = 0, pressure = 0;  // thresholds out of 2^32, one per direction
    bool stalls(uint64_t threshold) {
        if (!threshold) return false;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return (state * UINT64_C(0x2545F4914F6CDD1D) >> 32) < threshold;
    }
};

// Packets to send; the arrays belong to the caller.
struct Source {
    const uint8_t* beats = nullptr;
    std::size_t width = 0;  // bytes per beat
    const int64_t *lasts = nullptr, *users = nullptr;  // each packet's last beat, and its set
    int64_t packets = 0, hold = -1;                    // packet that must not begin yet
    int64_t sent = 0, sent_packets = 0;
    uint32_t next_set = 0;  // address of the register
    bool offered = false, opening = true;
    std::vector<int64_t> first, last, taken;  // cycles; ``taken`` of every beat

    bool done() const { return sent_packets >= packets; }
};

struct Sink {
    bool opening = true;
    int64_t received = 0;
    std::vector<uint8_t> beats;
    std::vector<int64_t> ends, users, first, last;
};

class Engine {
public:
    enum State { RUNNING, DONE, SILENT, BEGUN };  // same as in sim.compiled

    Engine() { reset(5); }
    ~Engine() {
        dut.final();
        // Scopes deregister from the context that the thread used last, which may be gone already.
        Verilated::threadContextp(&context);
    }

    // Returns whether no beat was offered or taken meanwhile.
    bool reset(int64_t cycles) {
        source = {};
        sink = {};
        random = {};
        writing = selecting = owed = false;
        selected = 0;
        dut.aresetn = 0;
        dut.s_axis_tlast = dut.m_axis_tready = 0;
        if (auto* user = user_pin(dut, 0)) *user = 0;
        std::memset(bytes(dut.s_axis_tdata), 0, sizeof dut.s_axis_tdata);
        dut.s_axil_awvalid = dut.s_axil_wvalid = dut.s_axil_arvalid = 0;
        dut.s_axil_awaddr = dut.s_axil_araddr = 0;
        dut.s_axil_wdata = 0;
        dut.s_axil_wstrb = 0xf;
        dut.s_axil_bready = dut.s_axil_rready = 1;
        offer();
        bool quiet = true;
        for (int64_t i = 0; i < cycles + 2; ++i) {
            dut.aresetn = i >= cycles;
            tick([&] { quiet &= dut.aresetn || !(dut.m_axis_tvalid || dut.s_axis_tready); });
        }
        return quiet;
    }

    int64_t write(uint32_t address, uint32_t data) {
        writing = true;
        selecting = false;
        offer_write(address, data);
        int64_t response = NO_ANSWER;
        for (int i = 0; i < PATIENCE && response == NO_ANSWER; ++i) {
            bool address_taken, data_taken;
            tick([&] {
                address_taken = dut.s_axil_awready;
                data_taken = dut.s_axil_wready;
                if (dut.s_axil_bvalid && !owed) response = dut.s_axil_bresp;
            });
            if (address_taken) dut.s_axil_awvalid = 0;
            if (data_taken) dut.s_axil_wvalid = 0;
        }
        dut.s_axil_awvalid = dut.s_axil_wvalid = 0;
        writing = false;
        return response;
    }

    int64_t read(uint32_t address) {
        dut.s_axil_araddr = address;
        dut.s_axil_arvalid = 1;
        for (int i = 0; i < PATIENCE; ++i) {
            bool taken;
            int64_t answer = NO_ANSWER;
            tick([&] {
                taken = dut.s_axil_arready;
                if (dut.s_axil_rvalid)
                    answer = int64_t(dut.s_axil_rresp) << 32 | uint32_t(dut.s_axil_rdata);
            });
            if (taken) dut.s_axil_arvalid = 0;
            if (answer != NO_ANSWER) return answer;
        }
        dut.s_axil_arvalid = 0;
        return NO_ANSWER;
    }

    void begin(const Source& packets, const Random& gaps, int64_t quiet, int64_t listen) {
        source = packets;
        sink = {};
        random = gaps;
        patience = quiet;
        tail = listen;
        cycle = moved = busy = starved = blocked = 0;
        units = {};
        end = -1;
        dut.m_axis_tready = 1;
        select();
        offer();
    }

    void hold(int64_t packet) {
        source.hold = packet;
        moved = cycle;
    }

    State advance(int64_t cycles, int64_t begun) {
        for (; cycles > 0; --cycles) {
            if (end >= 0 && cycle >= end) return DONE;
            if (int64_t(source.first.size()) >= begun) return BEGUN;
            tick([] {});
            if (end < 0 && source.done() && int64_t(sink.ends.size()) >= source.packets)
                end = cycle + tail;
            if (end < 0 && cycle - moved > patience) return SILENT;
        }
        return RUNNING;
    }

    std::vector<int64_t> counted() const { return {busy, starved, blocked}; }
    bool count_units(int64_t* counts) const {
        std::memcpy(counts, units.data(), sizeof units);
        return !probes.empty();
    }

    Source source;
    Sink sink;
    int64_t cycle = 0;

private:
    VerilatedContext context;
    Vengine dut{&context};
    const std::vector<Probe> probes = find_probes(context);
    Random random;
    int64_t moved = 0, end = -1, patience = 0, tail = 0;
    int64_t busy = 0, starved = 0, blocked = 0;  // like the counters of these names
    std::array<std::array<int64_t, MAX_UNITS>, 2> units = {};  // working cycles: all, steady part
    bool writing = false;     // a register write of the caller is in progress
    bool selecting = false;   // a write of NEXT_SET is offered
    bool owed = false;        // its response is pending
    int64_t selected = 0;     // value of NEXT_SET

    // One clock cycle. ``sample`` reads the outputs just before the edge.
    template <class Sample>
    void tick(Sample sample) {
        dut.aclk = 0;
        dut.eval();
        sample();
        if (dut.s_axil_bvalid) owed = false;
        if (selecting && dut.s_axil_awready) {
            selected = dut.s_axil_wdata;
            owed = true;
        }
        const bool taken = source.offered && dut.s_axis_tready;
        const bool given = dut.m_axis_tready && dut.m_axis_tvalid;
        busy += source.first.size() > sink.ends.size();
        starved += !source.opening && !source.offered;
        blocked += dut.m_axis_tvalid && !dut.m_axis_tready;
        const bool steady = sink.first.size() > 1 && !source.done();
        for (const Probe& probe : probes)
            for (uint32_t word = probe.read(); word; word &= word - 1) {
                const int unit = __builtin_ctz(word);
                ++units[0][unit];
                units[1][unit] += steady;
            }
        if (given) receive();
        dut.aclk = 1;
        dut.eval();
        if (taken) sent();
        select();
        if (taken || !source.offered) offer();
        if (random.pressure) dut.m_axis_tready = !random.stalls(random.pressure);
        if (taken || given) moved = cycle;
        ++cycle;
    }

    void offer() {
        auto& s = source;
        s.offered = !s.done() && !(s.opening && held()) && !random.stalls(random.gaps);
        dut.s_axis_tvalid = s.offered;
        if (!s.offered) return;
        std::memcpy(bytes(dut.s_axis_tdata), s.beats + s.sent * s.width, s.width);
        dut.s_axis_tlast = s.sent == s.lasts[s.sent_packets];
        // sampled on the first beat only
        if (auto* user = user_pin(dut, 0)) *user = s.users[s.sent_packets] ^ !s.opening;
    }

    // Whether the next packet must not begin: it is held, or its set is not selected yet.
    bool held() {
        const auto& s = source;
        return s.sent_packets == s.hold ||
               (!user_pin(dut, 0) && s.users[s.sent_packets] != selected);
    }

    // Without tuser, write NEXT_SET for a packet as soon as the one before has begun.
    void select() {
        if (user_pin(dut, 0) || writing) return;
        const int64_t next = source.sent_packets + !source.opening;
        selecting = !owed && next < source.packets && source.users[next] != selected;
        if (selecting) offer_write(source.next_set, source.users[next]);
        else dut.s_axil_awvalid = dut.s_axil_wvalid = 0;
    }

    void offer_write(uint32_t address, uint32_t data) {
        dut.s_axil_awaddr = address;
        dut.s_axil_wdata = data;
        dut.s_axil_awvalid = dut.s_axil_wvalid = 1;
    }

    void sent() {
        auto& s = source;
        s.taken.push_back(cycle);
        if (s.opening) s.first.push_back(cycle);
        s.opening = s.sent == s.lasts[s.sent_packets];
        if (s.opening) {
            s.last.push_back(cycle);
            ++s.sent_packets;
        }
        ++s.sent;
    }

    void receive() {
        const uint8_t* data = bytes(dut.m_axis_tdata);
        sink.beats.insert(sink.beats.end(), data, data + source.width);
        ++sink.received;
        if (sink.opening) sink.first.push_back(cycle);
        sink.opening = dut.m_axis_tlast;
        if (sink.opening) {
            sink.ends.push_back(sink.received);
            sink.users.push_back(dut.m_axis_tuser);
            sink.last.push_back(cycle);
        }
    }
};

struct Span {
    const void* data;
    uint64_t bytes;
};

template <class T>
Span span(const std::vector<T>& items) {
    return {items.data(), items.size() * sizeof(T)};
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT Engine* engine_open() { return new Engine; }
EXPORT void engine_close(Engine* engine) { delete engine; }

// Low for some cycles; whether no beat was offered or taken meanwhile.
EXPORT int engine_reset(Engine* engine, int64_t cycles) { return engine->reset(cycles); }

// Response of the write, or -1 without an answer.
EXPORT int64_t engine_write(Engine* engine, uint32_t address, uint32_t data) {
    return engine->write(address, data);
}

// Response above 32 bits of data, or -1 without an answer.
EXPORT int64_t engine_read(Engine* engine, uint32_t address) { return engine->read(address); }

// Streams ``packets`` packets from now on. ``gaps`` and ``pressure`` are probabilities times 2^32.
EXPORT void engine_begin(Engine* engine, const uint8_t* beats, uint64_t width,
                         const int64_t* lasts, const int64_t* users, int64_t packets, int64_t hold,
                         uint32_t next_set, uint64_t gaps, uint64_t pressure, uint64_t seed,
                         int64_t patience, int64_t tail) {
    Source source;
    source.beats = beats;
    source.width = width;
    source.lasts = lasts;
    source.users = users;
    source.packets = packets;
    source.hold = hold;
    source.next_set = next_set;
    engine->begin(source, Random{seed * 2 + 1, gaps, pressure}, patience, tail);
}

EXPORT void engine_hold(Engine* engine, int64_t packet) { engine->hold(packet); }

// Goes on for some cycles, or until packet number ``begun`` - 1 has begun, or to the end.
EXPORT int engine_advance(Engine* engine, int64_t cycles, int64_t begun) {
    return engine->advance(cycles, begun);
}

EXPORT int64_t engine_cycles(Engine* engine) { return engine->cycle; }
EXPORT int64_t engine_sent(Engine* engine) { return engine->source.sent; }
EXPORT int64_t engine_received(Engine* engine) { return engine->sink.received; }

// Counts ``busy``, ``starved`` and ``blocked`` cycles since engine_begin into three numbers.
EXPORT void engine_count(Engine* engine, int64_t* counts) {
    const auto counted = engine->counted();
    std::memcpy(counts, counted.data(), counted.size() * sizeof counted[0]);
}

// Counts the cycles since engine_begin in which each of 32 units worked, then those of them in
// which the second packet was being answered or later, and others still came in. Returns whether
// the design tells.
EXPORT int engine_units(Engine* engine, int64_t* counts) { return engine->count_units(counts); }

// A record of the stream; the memory is valid until the next call that moves the engine.
EXPORT Span engine_record(Engine* engine, int which) {
    switch (which) {
        case 0: return span(engine->sink.beats);
        case 1: return span(engine->sink.ends);
        case 2: return span(engine->sink.users);
        case 3: return span(engine->source.first);
        case 4: return span(engine->source.last);
        case 5: return span(engine->sink.first);
        case 6: return span(engine->sink.last);
        case 7: return span(engine->source.taken);
        default: return {nullptr, 0};
    }
}
