// SPDX-License-Identifier: Apache-2.0
// A Verilated board with a serial port on its pins; sim.board loads it as a shared library.
//
// Bits of exact length go in and out, eight data bits and one stop bit, as a USB adapter sends them.

#include <cstdint>
#include <deque>
#include <vector>

#include "Vengine.h"
#include "verilated.h"

namespace {

constexpr int FRAME_BITS = 10;  // start, data, stop

class Board {
public:
    // A bit takes ``cycles`` clock cycles. Registers and memories start with random bits.
    Board(int seed, double cycles) : dut{randomised(context, seed)}, bit_cycles{cycles} {
        dut.rx = 1;
    }
    ~Board() {
        dut.final();
        // Scopes deregister from the context that the thread used last, which may be gone already.
        Verilated::threadContextp(&context);
    }

    void send(const uint8_t* bytes, int64_t count) {
        outgoing.insert(outgoing.end(), bytes, bytes + count);
    }

    // Runs until ``wanted`` bytes wait to be taken, or for ``most`` cycles.
    void run(int64_t wanted, int64_t most) {
        for (int64_t i = 0; i < most && int64_t(incoming.size()) < wanted; ++i) {
            drive();
            dut.clk = 0;
            dut.eval();
            dut.clk = 1;
            dut.eval();
            sample();
            ++cycle;
        }
    }

    int64_t take(uint8_t* bytes, int64_t most) {
        int64_t count = 0;
        for (; count < most && !incoming.empty(); incoming.pop_front())
            bytes[count++] = incoming.front();
        return count;
    }

    int64_t cycle = 0;
    int64_t waiting() const { return outgoing.size() + (sending < FRAME_BITS); }

private:
    static VerilatedContext* randomised(VerilatedContext& context, int seed) {
        context.randReset(2);
        context.randSeed(seed);
        return &context;
    }

    // The host's transmitter.
    void drive() {
        while (sending < FRAME_BITS && cycle >= bit_end)
            if (++sending < FRAME_BITS) bit_end += bit_cycles;
        if (sending == FRAME_BITS && !outgoing.empty()) {
            shift = outgoing.front() << 1 | 1 << (FRAME_BITS - 1);
            outgoing.pop_front();
            sending = 0;
            if (bit_end < cycle - 1) bit_end = cycle;  // else the bytes follow without a gap
            bit_end += bit_cycles;
        }
        dut.rx = sending == FRAME_BITS || (shift >> sending & 1);
    }

    // The host's receiver: every bit is read in its middle.
    void sample() {
        if (receiving < 0) {
            if (dut.tx) return;
            receiving = 0;
            read_at = cycle + bit_cycles / 2;
        }
        if (cycle < read_at) return;
        read_at += bit_cycles;
        if (receiving == 0) {
            receiving = dut.tx ? -1 : 1;
        } else if (receiving < FRAME_BITS - 1) {
            byte = byte >> 1 | dut.tx << 7;
            ++receiving;
        } else {
            if (dut.tx) incoming.push_back(byte);
            receiving = -1;
        }
    }

    VerilatedContext context;
    Vengine dut;
    double bit_cycles, bit_end = 0, read_at = 0;
    std::deque<uint8_t> outgoing, incoming;
    int sending = FRAME_BITS, receiving = -1, shift = 0;
    uint8_t byte = 0;
};

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT Board* board_open(int seed, double bit_cycles) { return new Board(seed, bit_cycles); }
EXPORT void board_close(Board* board) { delete board; }
EXPORT void board_send(Board* board, const uint8_t* bytes, int64_t count) {
    board->send(bytes, count);
}
EXPORT void board_run(Board* board, int64_t wanted, int64_t most) { board->run(wanted, most); }
EXPORT int64_t board_take(Board* board, uint8_t* bytes, int64_t most) {
    return board->take(bytes, most);
}
EXPORT int64_t board_cycles(Board* board) { return board->cycle; }
EXPORT int64_t board_waiting(Board* board) { return board->waiting(); }
