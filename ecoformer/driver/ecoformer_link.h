/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver of an EcoFormer engine behind a byte link, such as a serial port. C99 and C++; no memory
 * is allocated. The protocol is in ecoformer_frames.h, the engine's registers in its own header.
 *
 * A request is repeated until its answer has come; the board carries it out once only.
 */
#ifndef ECOFORMER_LINK_H
#define ECOFORMER_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "ecoformer_frames.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Longest payload that this driver takes: at least the FRAME_BYTES of the board. */
#ifndef ECOFORMER_PAYLOAD_BYTES
#define ECOFORMER_PAYLOAD_BYTES 2048u
#endif

/* What every function returns: 0, or why not. */
enum ecoformer_status {
    ECOFORMER_OK = 0,
    ECOFORMER_DEAD = -1,    /* no answer, however often it was asked for */
    ECOFORMER_FOREIGN = -2, /* an answer of another protocol */
    ECOFORMER_REFUSED = -3, /* a register refuses the access */
    ECOFORMER_SILENT = -4,  /* the engine neither takes tokens nor gives results */
    ECOFORMER_TOO_LONG = -5 /* results or frames for which there is no room */
};

struct ecoformer_link {
    /* To be set before ecoformer_open. */
    void *context; /* for the two functions */
    /* Sends all bytes; 0, or negative if it cannot. */
    int (*write)(void *context, const uint8_t *bytes, size_t count);
    /* Takes at most that many bytes as soon as there are some; how many, 0 after the time-out. */
    size_t (*read)(void *context, uint8_t *bytes, size_t most, unsigned milliseconds);
    unsigned timeout;  /* milliseconds of silence after which a request is repeated, such as 250 */
    unsigned settle;   /* the same once something is known to be lost, such as 50 */
    unsigned attempts; /* times that a request is sent, such as 20 */
    uint32_t patience; /* requests for results that may find none, such as 10000 */

    /* Told by the board. */
    uint32_t frame_bytes, clock_hz, baud;
    /* Counted: frames that were lost, by their fault; requests that were sent again. */
    uint32_t faults[ECOFORMER_FAULTS], repeats;
    uint16_t detail; /* of the last refusal: which access of the request */

    /* Private. */
    uint8_t tag, kind, payload[ECOFORMER_PAYLOAD_BYTES], incoming[64];
    size_t length, taken, available;
};

/* One register access, or one word of a parameter set: register offset or PARAM_ADDRESS, data. */
struct ecoformer_pair {
    uint32_t offset, data;
};

/* Offsets of the registers that the driver itself needs, from the engine's header. */
struct ecoformer_registers {
    uint32_t status, shadow_free_mask, param_address, param_data, commit;
};

/* Find the board; to be called first. */
int ecoformer_open(struct ecoformer_link *link);

/* Reset the engine: flags, counters and parameters are lost. */
int ecoformer_reset(struct ecoformer_link *link);

int ecoformer_read(struct ecoformer_link *link, uint32_t offset, uint32_t *value);
int ecoformer_write(struct ecoformer_link *link, uint32_t offset, uint32_t value);
int ecoformer_write_pairs(struct ecoformer_link *link, const struct ecoformer_pair *pairs,
                          size_t count);

/*
 * Load one set and commit it. The words are as in <name>_parameters.h and parameters.bin: their
 * PARAM_ADDRESS and their PARAM_DATA.
 */
int ecoformer_load_set(struct ecoformer_link *link, const struct ecoformer_registers *registers,
                       uint32_t set, const struct ecoformer_pair *words, size_t count);

/*
 * Send a sequence and fetch its results.
 *
 * tokens: count bytes, whole beats; beat_bytes is the engine's bus_bytes.
 * results, most: room for them; *got: how many bytes came.
 * *error: whether the engine found the sequence bad. Its flags then say why.
 */
int ecoformer_attend(struct ecoformer_link *link, uint32_t set, const uint8_t *tokens,
                     size_t count, size_t beat_bytes, uint8_t *results, size_t most, size_t *got,
                     int *error);

#ifdef __cplusplus
}
#endif

#endif
