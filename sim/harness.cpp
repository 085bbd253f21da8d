// Runs a job on a Verilated engine without Python in the loop: the fast path of sim.compiled,
// which writes the job file and reads the result file in the same order of fields.
//
//   engine JOB RESULT PROGRESS

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "Vengine.h"
#include "verilated.h"

namespace {

constexpr uint64_t POLL = uint64_t(1) << 40;
constexpr int PATIENCE = 1000;

// Ports are plain integers up to 64 bits and arrays of words above.
template <class T>
uint8_t* bytes(T& port) {
    return reinterpret_cast<uint8_t*>(&port);
}
template <std::size_t W>
uint8_t* bytes(VlWide<W>& port) {
    return reinterpret_cast<uint8_t*>(port.data());
}

[[noreturn]] void fail(const std::string& why) {
    std::fprintf(stderr, "error: %s\n", why.c_str());
    std::exit(1);
}

struct Reader {
    std::FILE* file;
    template <class T>
    std::vector<T> array(size_t count) {
        std::vector<T> items(count);
        if (std::fread(items.data(), sizeof(T), count, file) != count) fail("job file is short");
        return items;
    }
    uint64_t number() { return array<uint64_t>(1)[0]; }
};

struct Writer {
    std::FILE* file;
    template <class T>
    void array(const std::vector<T>& items) {
        const uint64_t count = items.size();
        std::fwrite(&count, sizeof count, 1, file);
        std::fwrite(items.data(), sizeof(T), items.size(), file);
    }
};

struct Random {
    uint64_t state, threshold;
    bool stalls() {
        if (!threshold) return false;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return (state * UINT64_C(0x2545F4914F6CDD1D) >> 32) < threshold;
    }
};

struct Engine {
    VerilatedContext context;
    Vengine dut{&context};

    // Outputs are sampled between settle and edge: what they were just before the edge.
    void settle() {
        dut.aclk = 0;
        dut.eval();
    }
    void edge() {
        dut.aclk = 1;
        dut.eval();
    }

    void reset() {
        dut.aresetn = 0;
        dut.s_axis_tvalid = dut.s_axis_tlast = dut.s_axis_tuser = dut.m_axis_tready = 0;
        std::memset(bytes(dut.s_axis_tdata), 0, sizeof dut.s_axis_tdata);
        dut.s_axil_awvalid = dut.s_axil_wvalid = dut.s_axil_arvalid = 0;
        dut.s_axil_awaddr = dut.s_axil_araddr = 0;
        dut.s_axil_wdata = 0;
        dut.s_axil_wstrb = 0xf;
        dut.s_axil_bready = dut.s_axil_rready = 1;
        for (int i = 0; i < 7; ++i) {
            settle();
            edge();
            dut.aresetn = i >= 4;
        }
    }

    void write(uint32_t address, uint32_t data) {
        dut.s_axil_awaddr = address;
        dut.s_axil_wdata = data;
        dut.s_axil_awvalid = dut.s_axil_wvalid = 1;
        for (int i = 0; i < PATIENCE; ++i) {
            settle();
            const bool address_taken = dut.s_axil_awready, data_taken = dut.s_axil_wready;
            const bool answered = dut.s_axil_bvalid;
            const int response = dut.s_axil_bresp;
            edge();
            if (address_taken) dut.s_axil_awvalid = 0;
            if (data_taken) dut.s_axil_wvalid = 0;
            if (answered) {
                if (response) fail("write to register " + std::to_string(address) + " is refused");
                return;
            }
        }
        fail("write to register " + std::to_string(address) + " is not answered");
    }

    uint32_t read(uint32_t address) {
        dut.s_axil_araddr = address;
        dut.s_axil_arvalid = 1;
        for (int i = 0; i < PATIENCE; ++i) {
            settle();
            const bool taken = dut.s_axil_arready, answered = dut.s_axil_rvalid;
            const uint32_t data = dut.s_axil_rdata;
            const int response = dut.s_axil_rresp;
            edge();
            if (taken) dut.s_axil_arvalid = 0;
            if (answered) {
                if (response) fail("read of register " + std::to_string(address) + " is refused");
                return data;
            }
        }
        fail("read of register " + std::to_string(address) + " is not answered");
    }

    void wait_until_free(uint32_t status) {
        for (int i = 0; i < PATIENCE; ++i)
            if (read(status) >> 1 & 1) return;
        fail("STATUS bit 1 stays 0: the shadow set never becomes free");
    }
};

struct Job {
    uint64_t width, stall, seed, patience, tail, status;
    std::vector<uint64_t> writes, lasts, users;
    std::vector<uint8_t> beats;
    std::vector<uint32_t> registers;

    explicit Job(Reader in) {
        width = in.number();
        stall = in.number();
        seed = in.number();
        patience = in.number();
        tail = in.number();
        status = in.number();
        writes = in.array<uint64_t>(in.number());
        beats = in.array<uint8_t>(in.number() * width);
        lasts = in.array<uint64_t>(in.number());
        users = in.array<uint64_t>(lasts.size());
        registers = in.array<uint32_t>(in.number());
    }
};

struct Result {
    std::vector<uint8_t> beats;
    std::vector<int64_t> ends, users, first_in, last_in, first_out, last_out;
    std::vector<uint32_t> registers;
    std::vector<int64_t> cycles;
};

void report(const char* path, size_t beats, int64_t cycle) {
    if (std::FILE* file = std::fopen(path, "w")) {
        std::fprintf(file, "%zu %lld", beats, static_cast<long long>(cycle));
        std::fclose(file);
    }
}

void stream(Engine& engine, const Job& job, Result& result, const char* progress) {
    auto& dut = engine.dut;
    Random random{job.seed * 2 + 1, job.stall};
    const size_t beats = job.beats.size() / job.width, packets = job.users.size();
    size_t sent = 0, sent_packets = 0, received = 0;
    bool offered = false, opening_in = true, opening_out = true;
    int64_t cycle = 0, moved = 0, end = -1;
    auto reported = std::chrono::steady_clock::now();

    const auto offer = [&] {
        offered = sent < beats && !random.stalls();
        dut.s_axis_tvalid = offered;
        if (!offered) return;
        std::memcpy(bytes(dut.s_axis_tdata), &job.beats[sent * job.width], job.width);
        dut.s_axis_tlast = sent == job.lasts[sent_packets];
        dut.s_axis_tuser = job.users[sent_packets] ^ !opening_in;  // sampled on the first beat only
    };
    offer();
    dut.m_axis_tready = 1;

    while (cycle != end) {
        engine.settle();
        const bool taken = offered && dut.s_axis_tready;
        const bool given = dut.m_axis_tready && dut.m_axis_tvalid;
        if (given) {
            result.beats.insert(result.beats.end(), bytes(dut.m_axis_tdata),
                                bytes(dut.m_axis_tdata) + job.width);
            ++received;
            if (opening_out) result.first_out.push_back(cycle);
            opening_out = dut.m_axis_tlast;
            if (opening_out) {
                result.ends.push_back(received);
                result.users.push_back(dut.m_axis_tuser);
                result.last_out.push_back(cycle);
            }
        }
        engine.edge();
        if (taken) {
            if (opening_in) result.first_in.push_back(cycle);
            opening_in = sent == job.lasts[sent_packets];
            if (opening_in) {
                result.last_in.push_back(cycle);
                ++sent_packets;
            }
            ++sent;
        }
        if (taken || !offered) offer();
        if (job.stall) dut.m_axis_tready = !random.stalls();
        if (taken || given) moved = cycle;
        ++cycle;
        if (end < 0 && sent_packets >= packets && result.ends.size() >= packets)
            end = cycle + job.tail;
        if (end < 0 && uint64_t(cycle - moved) > job.patience) break;
        if (cycle % 4096 == 0) {
            const auto now = std::chrono::steady_clock::now();
            if (now - reported > std::chrono::milliseconds(250)) {
                report(progress, received, cycle);
                reported = now;
            }
        }
    }
    dut.s_axis_tvalid = 0;
    result.cycles.push_back(cycle);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) fail("arguments are JOB RESULT PROGRESS");
    std::FILE* in = std::fopen(argv[1], "rb");
    if (!in) fail("cannot read the job file");
    const Job job(Reader{in});
    std::fclose(in);

    Engine engine;
    Result result;
    engine.reset();
    for (const uint64_t word : job.writes) {
        if (word & POLL) engine.wait_until_free(job.status);
        engine.write(word >> 32 & 0xff, uint32_t(word));
    }
    engine.wait_until_free(job.status);
    stream(engine, job, result, argv[3]);
    for (const uint32_t offset : job.registers) result.registers.push_back(engine.read(offset));
    engine.dut.final();

    std::FILE* out = std::fopen(argv[2], "wb");
    if (!out) fail("cannot write the result file");
    Writer writer{out};
    writer.array(result.beats);
    writer.array(result.ends);
    writer.array(result.users);
    writer.array(result.first_in);
    writer.array(result.last_in);
    writer.array(result.first_out);
    writer.array(result.last_out);
    writer.array(result.registers);
    writer.array(result.cycles);
    return std::fclose(out) ? 1 : 0;
}
