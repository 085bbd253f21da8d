// SPDX-License-Identifier: Apache-2.0
// A Verilated engine with its pins driven in C++; sim.compiled loads it as a shared library.
//
// The streams move in every cycle, also during a register access: it happens on live hardware, in
// the middle of a packet. The harness records, sim.verify judges.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "Vengine.h"
#include "verilated.h"
#if VM_COVERAGE
#include "verilated_cov.h"
#endif
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

// A pin that not every engine has.
struct Pin {
    uint8_t* at = nullptr;
    std::size_t size = 0;

    bool there() const { return at; }
    void put(uint64_t number) const {
        if (at) std::memcpy(at, &number, size);
    }
};

#define PIN(name)                                                       \
    template <class T>                                                  \
    auto find_##name(T& dut, int) -> decltype((void)dut.name, Pin()) {  \
        return {bytes(dut.name), sizeof dut.name};                      \
    }                                                                   \
    template <class T>                                                  \
    Pin find_##name(T&, long) {                                         \
        return {};                                                      \
    }

#define INLET(bus)      \
    PIN(bus##_tdata)    \
    PIN(bus##_tvalid)   \
    PIN(bus##_tready)   \
    PIN(bus##_tlast)    \
    PIN(bus##_tuser)    \
    PIN(bus##_tid)      \
    PIN(bus##_tkeep)

INLET(s_axis)
INLET(s_axis_q)
PIN(m_axis_tkeep)

// The pins of an input stream. Without tuser the engine has NEXT_SET instead. Rows of beats have
// the bytes of tkeep after those of the data.
struct Inlet {
    Pin data, valid, ready, last, user, tid, keep;
};

#define FIND_INLET(dut, bus)                                                            \
    Inlet{find_##bus##_tdata(dut, 0), find_##bus##_tvalid(dut, 0),                       \
          find_##bus##_tready(dut, 0), find_##bus##_tlast(dut, 0),                       \
          find_##bus##_tuser(dut, 0), find_##bus##_tid(dut, 0), find_##bus##_tkeep(dut, 0)}

// The number of a packet is tuser, and tid from this bit on.
constexpr int TID_SHIFT = 32;

// What the pins say of an answer.
template <class T>
auto answer_tid(const T& dut, int) -> decltype(dut.m_axis_tid, uint64_t()) {
    return uint64_t(dut.m_axis_tid) << TID_SHIFT;
}
template <class T>
uint64_t answer_tid(const T&, long) {
    return 0;
}

#define TEXT(word) #word
#define SCOPE(top) "TOP." TEXT(top) ".engine.datapath"

// A signal within the design, shown by the control file of the build. Nothing where it is missing.
struct Signal {
    const uint8_t* word = nullptr;
    std::size_t size = 0;

    Signal(VerilatedContext& context, const std::string& datapath, const char* name) {
        const VerilatedScope* scope = context.scopeFind(datapath.c_str());
        const VerilatedVar* found = scope ? scope->varFind(name) : nullptr;
        if (!found) return;
        word = static_cast<const uint8_t*>(found->datap());
        size = found->totalSize();
    }
};

// Each token's key as it is hashed.
struct Hashed {
    Signal valid, code;
};

// The probes of a datapath: a bit per unit that works; the keys of each stream.
struct Probe {
    Signal busy;
    std::array<Hashed, 2> hashed;

    Probe(VerilatedContext& context, const std::string& datapath)
        : busy(context, datapath, "trace_busy"),
          hashed{Hashed{{context, datapath, "trace_valid"}, {context, datapath, "trace_code"}},
                 Hashed{{context, datapath, "trace_query_valid"},
                        {context, datapath, "trace_query_code"}}} {}

    bool there() const { return busy.word; }
    uint32_t working() const {
        uint32_t units = 0;
        std::memcpy(&units, busy.word, busy.size);
        return units;
    }
};

// The probes of the datapath, or of each worker's.
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

// Packets to send on one stream; the arrays belong to the caller.
struct Source {
    const uint8_t* beats = nullptr;
    std::size_t width = 0, keep = 0;  // bytes of a row: of the data, and of tkeep
    const int64_t *lasts = nullptr, *users = nullptr;  // each packet's last beat, and its number
    int64_t later = 0;                                 // bits of it that later beats change
    int64_t packets = 0, hold = -1;                    // packet that must not begin yet
    int64_t gate = -1;                                 // beat that must not be offered yet
    int64_t sent = 0, sent_packets = 0;
    uint32_t next_set = 0;  // address of the register
    int64_t queue = 0;      // sets that may wait in it; 0: it holds one, -1: it is not written
    int64_t selected = 0;   // packets whose sets were added to the queue
    bool offered = false, opening = true;
    std::vector<int64_t> first, last, taken;  // cycles; ``taken`` of every beat

    bool done() const { return sent_packets >= packets; }
    std::size_t row() const { return width + keep; }
};

struct Sink {
    bool opening = true;
    int64_t received = 0;
    std::vector<uint8_t> beats;
    std::vector<int64_t> ends, users, first, last;
};

// What must not happen at the pins in any cycle; the same numbers are in sim.bench.
enum Violation {
    RESULT_WITHDRAWN, RESULT_CHANGED, USER_CHANGED, RESPONSE_WITHDRAWN, RESPONSE_CHANGED,
    ANSWER_WITHDRAWN, ANSWER_CHANGED, RESPONSE_UNASKED, ANSWER_UNASKED
};
constexpr std::size_t MOST_VIOLATIONS = 64;

class Engine {
public:
    enum State { RUNNING, DONE, SILENT, BEGUN, OVERDUE, BABBLING };  // same as in sim.compiled

    // Registers and memories without an initial value start with random bits.
    explicit Engine(int seed) : dut{randomised(context, seed)} { reset(5); }
    ~Engine() {
        dut.final();
        // Scopes deregister from the context that the thread used last, which may be gone already.
        Verilated::threadContextp(&context);
    }

    // Returns whether no beat was offered or taken meanwhile.
    bool reset(int64_t cycles) {
        sources = {};
        pending = {};
        sink = {};
        random = {};
        streaming = writing = selecting = owed = false;
        selected = responses = answers = 0;
        stalled = {};
        dut.aresetn = 0;
        dut.m_axis_tready = 0;
        for (const Inlet& inlet : inlets) {
            inlet.last.put(0);
            put_number(inlet, 0);
            if (inlet.data.there()) std::memset(inlet.data.at, 0, inlet.data.size);
        }
        dut.s_axil_awvalid = dut.s_axil_wvalid = dut.s_axil_arvalid = 0;
        dut.s_axil_awaddr = dut.s_axil_araddr = 0;
        dut.s_axil_wdata = 0;
        dut.s_axil_wstrb = 0xf;
        dut.s_axil_bready = dut.s_axil_rready = 1;
        for (std::size_t i = 0; i < sources.size(); ++i) offer(i);
        bool quiet = true;
        for (int64_t i = 0; i < cycles + 2; ++i) {
            dut.aresetn = i >= cycles;
            tick([&] {
                if (dut.aresetn) return;
                quiet &= !dut.m_axis_tvalid;
                for (const Inlet& inlet : inlets) quiet &= !ready(inlet);
                quiet &= !(dut.s_axil_bvalid || dut.s_axil_rvalid);
            });
        }
        return quiet;
    }

    // Cycles to wait before address and data are offered, and before the response is accepted.
    struct Delays {
        int64_t address = 0, data = 0, response = 0;
    };

    int64_t write(uint32_t address, uint32_t data, uint32_t strobe, const Delays& delays) {
        writing = true;
        selecting = false;
        for (int i = 0; i < PATIENCE && owed; ++i) {  // the response to a write of NEXT_SET
            dut.s_axil_awvalid = dut.s_axil_wvalid = 0;
            tick([] {});
        }
        dut.s_axil_awaddr = address;
        dut.s_axil_wdata = data;
        dut.s_axil_wstrb = strobe;
        dut.s_axil_awvalid = dut.s_axil_wvalid = 0;
        bool address_taken = false, data_taken = false;
        int64_t response = NO_ANSWER, answered = -1;
        accepted = -1;
        for (int64_t i = 0; i < PATIENCE && response == NO_ANSWER; ++i) {
            dut.s_axil_awvalid = !address_taken && i >= delays.address;
            dut.s_axil_wvalid = !data_taken && i >= delays.data;
            dut.s_axil_bready = answered < 0 ? delays.response == 0
                                             : i >= answered + delays.response;
            tick([&] {
                address_taken |= dut.s_axil_awvalid && dut.s_axil_awready;
                data_taken |= dut.s_axil_wvalid && dut.s_axil_wready;
                if (accepted < 0 && address_taken && data_taken) accepted = cycle;
                if (!dut.s_axil_bvalid) return;
                if (answered < 0) answered = i;
                if (dut.s_axil_bready) response = dut.s_axil_bresp;
            });
        }
        dut.s_axil_awvalid = dut.s_axil_wvalid = 0;
        dut.s_axil_wstrb = 0xf;
        dut.s_axil_bready = 1;
        writing = false;
        return response;
    }

    // Writes ``count`` words, each below its address, until one is not answered OKAY.
    // Returns the response to the last.
    int64_t write_words(const uint64_t* words, int64_t count, int64_t& written) {
        int64_t response = 0;
        for (written = 0; written < count && !response; written += !response)
            response = write(words[written] >> 32, uint32_t(words[written]), 0xf, {});
        return response;
    }

    // ``delay`` cycles pass before the answer is accepted.
    int64_t read(uint32_t address, int64_t delay) {
        dut.s_axil_araddr = address;
        bool taken = false;
        int64_t answer = NO_ANSWER, answered = -1;
        for (int64_t i = 0; i < PATIENCE && answer == NO_ANSWER; ++i) {
            dut.s_axil_arvalid = !taken;
            dut.s_axil_rready = answered < 0 ? delay == 0 : i >= answered + delay;
            tick([&] {
                if (dut.s_axil_arvalid && dut.s_axil_arready) {
                    taken = true;
                    accepted = cycle;
                }
                if (!dut.s_axil_rvalid) return;
                if (answered < 0) answered = i;
                if (dut.s_axil_rready)
                    answer = int64_t(dut.s_axil_rresp) << 32 | uint32_t(dut.s_axil_rdata);
            });
        }
        dut.s_axil_arvalid = 0;
        dut.s_axil_rready = 1;
        return answer;
    }

    struct Access {
        uint32_t is_read, address, data, strobe;
    };

    // Accesses that do not wait for each other: every channel offers its next as soon as the one
    // before is taken, addresses of writes ``lead`` cycles before data. Nothing is accepted for
    // ``hold`` cycles. Answers are as those of write() and read().
    void burst(const Access* accesses, int64_t count, int64_t lead, int64_t hold,
               int64_t* answers) {
        writing = true;
        selecting = false;
        for (int i = 0; i < PATIENCE && owed; ++i) {
            dut.s_axil_awvalid = dut.s_axil_wvalid = 0;
            tick([] {});
        }
        std::vector<int64_t> writes, reads;
        for (int64_t i = 0; i < count; ++i) (accesses[i].is_read ? reads : writes).push_back(i);
        std::size_t aw = 0, w = 0, b = 0, ar = 0, r = 0;  // taken on each channel
        for (int64_t i = 0; i < PATIENCE + hold && (b < writes.size() || r < reads.size()); ++i) {
            dut.s_axil_awvalid = aw < writes.size() && i >= -lead;
            dut.s_axil_wvalid = w < writes.size() && i >= lead;
            dut.s_axil_arvalid = ar < reads.size();
            if (aw < writes.size()) dut.s_axil_awaddr = accesses[writes[aw]].address;
            if (w < writes.size()) {
                dut.s_axil_wdata = accesses[writes[w]].data;
                dut.s_axil_wstrb = accesses[writes[w]].strobe;
            }
            if (ar < reads.size()) dut.s_axil_araddr = accesses[reads[ar]].address;
            dut.s_axil_bready = dut.s_axil_rready = i >= hold;
            tick([&] {
                aw += dut.s_axil_awvalid && dut.s_axil_awready;
                w += dut.s_axil_wvalid && dut.s_axil_wready;
                ar += dut.s_axil_arvalid && dut.s_axil_arready;
                if (dut.s_axil_bvalid && dut.s_axil_bready && b < writes.size())
                    answers[writes[b++]] = int64_t(dut.s_axil_bresp) << 32;
                if (dut.s_axil_rvalid && dut.s_axil_rready && r < reads.size())
                    answers[reads[r++]] =
                        int64_t(dut.s_axil_rresp) << 32 | uint32_t(dut.s_axil_rdata);
            });
        }
        dut.s_axil_awvalid = dut.s_axil_wvalid = dut.s_axil_arvalid = 0;
        dut.s_axil_wstrb = 0xf;
        dut.s_axil_bready = dut.s_axil_rready = 1;
        writing = false;
    }

    // Packets for the stream of queries, which go with the next begin().
    void queries(const Source& packets) { pending = packets; }

    // At most ``most`` beats are received within ``within`` cycles.
    void begin(const Source& packets, const Random& gaps, int64_t quiet, int64_t listen,
               int64_t within, int64_t most, uint64_t rising) {
        sources = {packets, pending};
        pending = {};
        rises = rising;
        sink = {};
        random = gaps;
        patience = quiet;
        tail = listen;
        limit = within;
        most_beats = most;
        cycle = moved = busy = starved = blocked = 0;
        units = {};
        violations.clear();
        interrupts.clear();
        codes.assign(probes.size() * streams(), {});
        irq = dut.irq;
        if (irq) interrupts = {-1, 1};
        end = -1;
        dut.m_axis_tready = streaming = true;
        select();
        for (std::size_t i = 0; i < sources.size(); ++i) offer(i);
    }

    void hold(int64_t packet) {
        for (Source& source : sources) source.hold = packet;
        moved = cycle;
    }

    void gate(int64_t beat, int stream) {
        sources[stream].gate = beat;
        moved = cycle;
    }

    void press(uint64_t pressure) {
        random.pressure = pressure;
        moved = cycle;
    }

    // Lets some cycles pass, whatever happens.
    void idle(int64_t cycles) {
        for (; cycles > 0; --cycles) tick([] {});
    }

    // Stops earlier when ``begun`` packets have begun, or ``sent`` beats of a stream were taken.
    State advance(int64_t cycles, int64_t begun, int64_t sent, int stream) {
        for (;; --cycles) {
            if (sink.received > most_beats) return BABBLING;
            if (end >= 0 && cycle >= end) return DONE;
            if (cycle >= limit) return OVERDUE;
            if (packets_begun() >= begun || sources[stream].sent >= sent) return BEGUN;
            if (cycles <= 0) return RUNNING;
            tick([] {});
            if (end < 0 && done() && int64_t(sink.ends.size()) >= sources[0].packets)
                end = cycle + tail;
            if (end < 0 && cycle - moved > patience) return SILENT;
        }
    }

    std::vector<int64_t> counted() const { return {busy, starved, blocked}; }
    bool count_units(int64_t* counts) const {
        std::memcpy(counts, units.data(), sizeof units);
        return !probes.empty();
    }

    std::array<Source, 2> sources;  // the second of queries that come by themselves
    Sink sink;
    int64_t cycle = 0;
    int64_t accepted = -1;  // cycle in which the latest access was taken
    std::vector<int64_t> violations, interrupts;  // cycle and number; cycle and new level of irq
    std::vector<std::vector<uint8_t>> codes;      // keys of the tokens of each datapath

    std::size_t code_bytes() const { return probes.empty() ? 0 : probes[0].hashed[0].code.size; }

    void write_coverage(const char* path) {
#if VM_COVERAGE
        context.coveragep()->write(path);
#endif
    }

private:
    struct Stalled {  // what was offered and not taken in the cycle before
        bool result = false, response = false, answer = false, within = false;
        std::vector<uint8_t> data;
        uint64_t frame = 0, user = 0, registers = 0, status = 0;
    };

    VerilatedContext context;
    Vengine dut;
    const std::vector<Probe> probes = find_probes(context);
    const std::array<Inlet, 2> inlets = {FIND_INLET(dut, s_axis), FIND_INLET(dut, s_axis_q)};
    const Pin kept = find_m_axis_tkeep(dut, 0);
    Source pending;
    Random random;
    Stalled stalled;
    uint64_t rises = 0;  // bits of an answer's number that may be 0 before its last beat
    int64_t moved = 0, end = -1, patience = 0, tail = 0, limit = 0, most_beats = 0;
    int64_t responses = 0, answers = 0;  // owed by the engine
    bool irq = false;
    bool streaming = false;   // results are accepted
    int64_t busy = 0, starved = 0, blocked = 0;  // like the counters of these names
    std::array<std::array<int64_t, MAX_UNITS>, 2> units = {};  // working cycles: all, steady part
    bool writing = false;     // a register write of the caller is in progress
    bool selecting = false;   // a write of NEXT_SET is offered
    bool owed = false;        // its response is pending
    uint32_t selected = 0;    // value of NEXT_SET

    static VerilatedContext* randomised(VerilatedContext& context, int seed) {
        context.randReset(2);
        context.randSeed(seed);
        return &context;
    }

    // One clock cycle. ``sample`` reads the outputs just before the edge.
    template <class Sample>
    void tick(Sample sample) {
        dut.aclk = 0;
        dut.eval();
        sample();
        if (dut.aresetn) check();
        else stalled = {};
        if (dut.s_axil_bvalid) owed = false;
        if (selecting && dut.s_axil_awready) {
            selected = dut.s_axil_wdata;
            ++sources[0].selected;
            owed = true;
        }
        std::array<bool, 2> taken;
        for (std::size_t i = 0; i < taken.size(); ++i)
            taken[i] = sources[i].offered && ready(inlets[i]);
        const bool given = dut.m_axis_tready && dut.m_axis_tvalid;
        busy += packets_begun() > int64_t(sink.ends.size());
        bool starves = false;
        for (const Source& source : sources) starves |= !source.opening && !source.offered;
        starved += starves;
        blocked += dut.m_axis_tvalid && !dut.m_axis_tready;
        const bool steady = sink.first.size() > 1 && !done();
        for (std::size_t i = 0; i < probes.size(); ++i) {
            const Probe& probe = probes[i];
            for (uint32_t word = probe.working(); word; word &= word - 1) {
                const int unit = __builtin_ctz(word);
                ++units[0][unit];
                units[1][unit] += steady;
            }
            for (std::size_t j = i, n = 0; j < codes.size(); j += probes.size(), ++n) {
                const Hashed& hashed = probe.hashed[n];
                if (hashed.valid.word && *hashed.valid.word)
                    codes[j].insert(codes[j].end(), hashed.code.word,
                                    hashed.code.word + hashed.code.size);
            }
        }
        if (given) receive();
        dut.aclk = 1;
        dut.eval();
        for (std::size_t i = 0; i < taken.size(); ++i)
            if (taken[i]) sent(sources[i]);
        select();
        for (std::size_t i = 0; i < taken.size(); ++i)
            if (taken[i] || !sources[i].offered) offer(i);
        dut.m_axis_tready = streaming && !random.stalls(random.pressure);
        if (taken[0] || taken[1] || given) moved = cycle;
        ++cycle;
    }

    // Compares the pins with those of the cycle before, and answers with what was asked.
    void check() {
        const uint64_t user = number(), frame = user << 1 | dut.m_axis_tlast;
        const uint64_t rose = dut.m_axis_tlast ? rises & ~stalled.user : 0;
        if (stalled.result) {
            if (!dut.m_axis_tvalid) violated(RESULT_WITHDRAWN);
            else if (frame != stalled.frame || !same_row(stalled.data))
                violated(RESULT_CHANGED);
        }
        if (dut.m_axis_tvalid && stalled.within && (user & ~rose) != stalled.user)
            violated(USER_CHANGED);
        stalled.result = dut.m_axis_tvalid && !dut.m_axis_tready;
        if (stalled.result) {
            stalled.frame = frame;
            stalled.data.clear();
            append_row(stalled.data);
        }
        if (dut.m_axis_tvalid && dut.m_axis_tready) {
            stalled.within = !dut.m_axis_tlast;
            stalled.user = user;
        }

        const uint64_t status = dut.s_axil_bresp;
        if (stalled.response) {
            if (!dut.s_axil_bvalid) violated(RESPONSE_WITHDRAWN);
            else if (status != stalled.status) violated(RESPONSE_CHANGED);
        }
        if (dut.s_axil_bvalid && !responses) violated(RESPONSE_UNASKED);
        stalled.response = dut.s_axil_bvalid && !dut.s_axil_bready;
        stalled.status = status;
        responses += dut.s_axil_awvalid && dut.s_axil_awready;
        responses -= responses && dut.s_axil_bvalid && dut.s_axil_bready;

        const uint64_t registers = uint64_t(dut.s_axil_rresp) << 32 | uint32_t(dut.s_axil_rdata);
        if (stalled.answer) {
            if (!dut.s_axil_rvalid) violated(ANSWER_WITHDRAWN);
            else if (registers != stalled.registers) violated(ANSWER_CHANGED);
        }
        if (dut.s_axil_rvalid && !answers) violated(ANSWER_UNASKED);
        stalled.answer = dut.s_axil_rvalid && !dut.s_axil_rready;
        stalled.registers = registers;
        answers += dut.s_axil_arvalid && dut.s_axil_arready;
        answers -= answers && dut.s_axil_rvalid && dut.s_axil_rready;

        if (dut.irq != irq) {
            irq = dut.irq;
            interrupts.insert(interrupts.end(), {cycle, irq});
        }
    }

    void violated(Violation what) {
        if (violations.size() < 2 * MOST_VIOLATIONS)
            violations.insert(violations.end(), {cycle, what});
    }

    std::size_t streams() const { return 1 + inlets[1].valid.there(); }

    // Packets, or pairs of packets, of which a beat was taken.
    int64_t packets_begun() const {
        return std::max(sources[0].first.size(), sources[1].first.size());
    }

    bool done() const { return sources[0].done() && sources[1].done(); }

    static bool ready(const Inlet& inlet) { return inlet.ready.there() && *inlet.ready.at; }

    void offer(std::size_t stream) {
        auto& s = sources[stream];
        const Inlet& inlet = inlets[stream];
        s.offered = !s.done() && s.sent != s.gate && !(s.opening && held(stream)) &&
                    !random.stalls(random.gaps);
        inlet.valid.put(s.offered);
        if (!s.offered) return;
        const uint8_t* row = s.beats + s.sent * s.row();
        std::memcpy(inlet.data.at, row, s.width);
        if (s.keep) std::memcpy(inlet.keep.at, row + s.width, s.keep);
        inlet.last.put(s.sent == s.lasts[s.sent_packets]);
        // sampled on the first beat only
        put_number(inlet, s.users[s.sent_packets] ^ (s.opening ? 0 : s.later));
    }

    static void put_number(const Inlet& inlet, uint64_t number) {
        inlet.user.put(number);
        inlet.tid.put(number >> TID_SHIFT);
    }

    // The row of the answer's beat.
    void append_row(std::vector<uint8_t>& rows) {
        const uint8_t* data = bytes(dut.m_axis_tdata);
        rows.insert(rows.end(), data, data + sources[0].width);
        if (sources[0].keep) rows.insert(rows.end(), kept.at, kept.at + sources[0].keep);
    }

    bool same_row(const std::vector<uint8_t>& row) {
        const Source& source = sources[0];
        if (row.size() != source.row()) return row.empty();  // it came before the stream
        return !std::memcmp(bytes(dut.m_axis_tdata), row.data(), source.width) &&
               !(source.keep && std::memcmp(kept.at, row.data() + source.width, source.keep));
    }

    // Of the answer whose beat is offered.
    uint64_t number() const { return dut.m_axis_tuser | answer_tid(dut, 0); }

    // Whether the next packet must not begin: it is held, or its set is not selected yet.
    bool held(std::size_t stream) const {
        const auto& s = sources[stream];
        return s.sent_packets == s.hold ||
               (!inlets[stream].user.there() && !s.queue &&
                uint32_t(s.users[s.sent_packets]) != selected);
    }

    // Without tuser, write NEXT_SET for a packet as soon as the one before has begun; or, where
    // sets wait in a queue, as soon as there is room.
    void select() {
        if (inlets[0].user.there() || writing) return;
        const Source& source = sources[0];
        const int64_t begun = source.sent_packets + !source.opening;
        const int64_t next = source.queue ? source.selected : begun;
        const auto due = [&] {
            return source.queue ? next - begun < source.queue
                                : uint32_t(source.users[next]) != selected;
        };
        selecting = !owed && source.queue >= 0 && next < source.packets && due();
        if (selecting) offer_write(source.next_set, uint32_t(source.users[next]));
        else dut.s_axil_awvalid = dut.s_axil_wvalid = 0;
    }

    void offer_write(uint32_t address, uint32_t data) {
        dut.s_axil_awaddr = address;
        dut.s_axil_wdata = data;
        dut.s_axil_awvalid = dut.s_axil_wvalid = 1;
    }

    void sent(Source& s) {
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
        append_row(sink.beats);
        ++sink.received;
        if (sink.opening) sink.first.push_back(cycle);
        sink.opening = dut.m_axis_tlast;
        if (sink.opening) {
            sink.ends.push_back(sink.received);
            sink.users.push_back(number());
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

EXPORT Engine* engine_open(int seed) { return new Engine(seed); }
EXPORT void engine_close(Engine* engine) { delete engine; }

// Low for some cycles; whether no beat, response or answer was offered or taken meanwhile.
EXPORT int engine_reset(Engine* engine, int64_t cycles) { return engine->reset(cycles); }

// Response of the write, or -1 without an answer. The delays are of address, data and response.
EXPORT int64_t engine_write(Engine* engine, uint32_t address, uint32_t data, uint32_t strobe,
                            int64_t of_address, int64_t of_data, int64_t of_response) {
    return engine->write(address, data, strobe, {of_address, of_data, of_response});
}

// Writes words that lie below their addresses, until one is not answered OKAY; returns the response
// to the last one, or -1 without any, and how many were answered OKAY.
EXPORT int64_t engine_write_words(Engine* engine, const uint64_t* words, int64_t count,
                                  int64_t* written) {
    return engine->write_words(words, count, *written);
}

// Response above 32 bits of data, or -1 without an answer.
EXPORT int64_t engine_read(Engine* engine, uint32_t address, int64_t delay) {
    return engine->read(address, delay);
}

// Accesses of four words, is_read, address, data and strobe, none of which waits for an answer.
// ``answers`` are -1 before.
EXPORT void engine_burst(Engine* engine, const uint32_t* accesses, int64_t count, int64_t lead,
                         int64_t hold, int64_t* answers) {
    engine->burst(reinterpret_cast<const Engine::Access*>(accesses), count, lead, hold, answers);
}

// Cycle in which the latest access was taken.
EXPORT int64_t engine_accepted(Engine* engine) { return engine->accepted; }

// Streams ``packets`` packets from now on. ``gaps`` and ``pressure`` are probabilities times 2^32.
EXPORT void engine_begin(Engine* engine, const uint8_t* beats, uint64_t width,
                         const int64_t* lasts, const int64_t* users, int64_t packets, int64_t hold,
                         uint32_t next_set, uint64_t gaps, uint64_t pressure, uint64_t seed,
                         int64_t patience, int64_t tail, int64_t limit, int64_t most_beats,
                         int64_t later, int64_t rises, uint64_t keep,
                         int64_t queue) {
    Source source;
    source.beats = beats;
    source.width = width - keep;
    source.keep = keep;
    source.queue = queue;
    source.lasts = lasts;
    source.users = users;
    source.later = later;
    source.packets = packets;
    source.hold = hold;
    source.next_set = next_set;
    const Random random{seed * 2 + 1, gaps, pressure};
    engine->begin(source, random, patience, tail, limit, most_beats, rises);
}

// Packets for the stream of queries, to be streamed from the next engine_begin on.
EXPORT void engine_queries(Engine* engine, const uint8_t* beats, uint64_t width,
                           const int64_t* lasts, const int64_t* users, int64_t packets,
                           int64_t hold, int64_t later) {
    Source source;
    source.beats = beats;
    source.width = width;
    source.lasts = lasts;
    source.users = users;
    source.later = later;
    source.packets = packets;
    source.hold = hold;
    engine->queries(source);
}

EXPORT void engine_hold(Engine* engine, int64_t packet) { engine->hold(packet); }
EXPORT void engine_gate(Engine* engine, int64_t beat, int stream) { engine->gate(beat, stream); }
EXPORT void engine_press(Engine* engine, uint64_t pressure) { engine->press(pressure); }

EXPORT void engine_idle(Engine* engine, int64_t cycles) { engine->idle(cycles); }

// Goes on for some cycles, or until packet number ``begun`` - 1 has begun, or until ``sent`` beats
// of a stream were taken, or to the end.
EXPORT int engine_advance(Engine* engine, int64_t cycles, int64_t begun, int64_t sent,
                          int stream) {
    return engine->advance(cycles, begun, sent, stream);
}

EXPORT int64_t engine_cycles(Engine* engine) { return engine->cycle; }
EXPORT int64_t engine_sent(Engine* engine) { return engine->sources[0].sent; }
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

// What a build with coverage has exercised, as Verilator writes it.
EXPORT void engine_write_coverage(Engine* engine, const char* path) {
    engine->write_coverage(path);
}

// A record of the stream; the memory is valid until the next call that moves the engine.
EXPORT Span engine_record(Engine* engine, int which) {
    switch (which) {
        case 0: return span(engine->sink.beats);
        case 1: return span(engine->sink.ends);
        case 2: return span(engine->sink.users);
        case 3: return span(engine->sources[0].first);
        case 4: return span(engine->sources[0].last);
        case 5: return span(engine->sink.first);
        case 6: return span(engine->sink.last);
        case 7: return span(engine->sources[0].taken);
        case 8: return span(engine->violations);
        case 9: return span(engine->interrupts);
        case 10: return span(engine->sources[1].first);
        case 11: return span(engine->sources[1].last);
        case 12: return span(engine->sources[1].taken);
        default: return {nullptr, 0};
    }
}

// The keys of the tokens that each datapath hashed, then those of queries that come by themselves,
// and the bytes of one of them.
EXPORT int engine_datapaths(Engine* engine) { return int(engine->codes.size()); }
EXPORT uint64_t engine_code_bytes(Engine* engine) { return engine->code_bytes(); }
EXPORT Span engine_codes(Engine* engine, int which) { return span(engine->codes[which]); }
