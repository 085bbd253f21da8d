/* SPDX-License-Identifier: Apache-2.0 */
/* Runs on the CPU of a LiteX SoC: loads parameters, sends packets by DMA, compares the answers. */
#include <stddef.h>
#include <stdint.h>

#define CSR_ACCESSORS_DEFINED
static inline void csr_write_simple(unsigned long value, unsigned long address)
{
    *(volatile uint32_t *)address = value;
}
static inline unsigned long csr_read_simple(unsigned long address)
{
    return *(volatile uint32_t *)address;
}

#include <generated/csr.h>
#include <generated/mem.h>

#include "my_engine_parameters.h"
#include "packets.h" /* struct packet: set, words, answer_words, user, words and answers */

#define BASE ((volatile uint32_t *)ATTENTION_BASE)
#define POLLS 100000u

static uint32_t answer[ANSWER_WORDS];

static void print(const char *text)
{
    while (*text != '\0') {
        console_char_write((uint8_t)*text++);
    }
}

static int fail(const char *what)
{
    print("FAIL: ");
    print(what);
    print("\n");
    return 1;
}

/* Words of the answer to a packet of so many words, or 0 if none comes. */
static uint32_t exchange(const struct packet *packet, uint32_t words)
{
    uint32_t polls = POLLS;
    attention_dma_s_axis_user_write(packet->set);
    attention_dma_m_axis_writer_base_write((uintptr_t)answer);
    attention_dma_m_axis_writer_length_write(sizeof answer);
    attention_dma_m_axis_writer_enable_write(1);
    attention_dma_s_axis_reader_base_write((uintptr_t)packet->input);
    attention_dma_s_axis_reader_length_write(4u * words);
    attention_dma_s_axis_reader_enable_write(1);
    while (attention_dma_m_axis_writer_done_read() == 0u && --polls != 0u) {
    }
    words = attention_dma_m_axis_writer_offset_read();
    attention_dma_s_axis_reader_enable_write(0);
    attention_dma_m_axis_writer_enable_write(0);
    return polls == 0u ? 0u : words;
}

int main(void)
{
    if (!my_engine_matches(BASE)) {
        return fail("another engine");
    }
    for (uint32_t set = 0; set < MY_ENGINE_PARAMETER_IMAGE_SETS; ++set) {
        if (my_engine_load_set(BASE, set, my_engine_parameters[set], MY_ENGINE_PARAMETER_WORDS,
                               POLLS) != 0) {
            return fail("parameters");
        }
    }
    my_engine_write(BASE, MY_ENGINE_IRQ_ENABLE_OFFSET, MY_ENGINE_ERRORS_MISALIGNED_MASK);
    for (size_t i = 0; i < PACKETS; ++i) {
        const struct packet *packet = &packets[i];
        if (exchange(packet, packet->words) != packet->answer_words) {
            return fail("length of an answer");
        }
        for (uint32_t word = 0; word < packet->answer_words; ++word) {
            if (answer[word] != packet->answer[word]) {
                return fail("answer");
            }
        }
        if (attention_dma_user_read() != packet->user || attention_ev_status_read() != 0u) {
            return fail("tuser or interrupt of a good packet");
        }
        /* The same without its last beat. */
        if (exchange(packet, packet->words - BEAT_WORDS) != BEAT_WORDS || answer[0] != 0u) {
            return fail("answer to a bad packet");
        }
        if (attention_dma_user_read() != packet->error || attention_ev_status_read() != 1u) {
            return fail("tuser or interrupt of a bad packet");
        }
        my_engine_write(BASE, MY_ENGINE_ERRORS_OFFSET, MY_ENGINE_ERRORS_MISALIGNED_MASK);
    }
    if (my_engine_read(BASE, MY_ENGINE_SEQUENCES_OFFSET) != PACKETS
        || my_engine_read(BASE, MY_ENGINE_MISALIGNED_OFFSET) != PACKETS) {
        return fail("counters");
    }
    print("PASS\n");
    return 0;
}

__attribute__((naked, section(".start"))) void _start(void)
{
    __asm__ volatile("lui sp, %hi(stack)\n addi sp, sp, %lo(stack)\n call main\n 1: j 1b\n");
}
