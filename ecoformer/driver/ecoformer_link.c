/* SPDX-License-Identifier: Apache-2.0 */
#include "ecoformer_link.h"

#include <string.h>

#define HEADER 4u
#define CHECK 4u
#define PIECE 64u /* bytes that are sent at a time */

/* ---- bytes ---------------------------------------------------------------------------------- */

static void put_word(uint8_t *bytes, uint32_t word)
{
    unsigned i;

    for (i = 0; i < 4u; ++i) {
        bytes[i] = (uint8_t)(word >> (8u * i));
    }
}

static uint32_t get_word(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16
        | (uint32_t)bytes[3] << 24;
}

static uint16_t get_half(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

/* CRC-32 of zlib and Ethernet, four bits at a time. */
static uint32_t crc(uint32_t state, const uint8_t *bytes, size_t count)
{
    static const uint32_t table[16] = {
        0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u,
        0x4db26158u, 0x5005713cu, 0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu,
        0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu,
    };

    while (count-- > 0u) {
        state ^= *bytes++;
        state = state >> 4 ^ table[state & 15u];
        state = state >> 4 ^ table[state & 15u];
    }
    return state;
}

/* ---- frames out ----------------------------------------------------------------------------- */

struct sending {
    struct ecoformer_link *link;
    uint8_t bytes[PIECE];
    size_t count;
    uint32_t state;
    int status;
};

static void flush(struct sending *out)
{
    if (out->count != 0u && out->link->write(out->link->context, out->bytes, out->count) < 0) {
        out->status = ECOFORMER_DEAD;
    }
    out->count = 0;
}

static void send_raw(struct sending *out, uint8_t byte)
{
    if (out->count == PIECE) {
        flush(out);
    }
    out->bytes[out->count++] = byte;
}

static void send_bytes(struct sending *out, const uint8_t *bytes, size_t count)
{
    out->state = crc(out->state, bytes, count);
    for (; count > 0u; --count, ++bytes) {
        if (*bytes == ECOFORMER_MAGIC || *bytes == ECOFORMER_ESCAPE) {
            send_raw(out, ECOFORMER_ESCAPE);
            send_raw(out, *bytes ^ ECOFORMER_FLIP);
        } else {
            send_raw(out, *bytes);
        }
    }
}

/* A payload in two parts, so that nothing need be copied. */
struct parts {
    const uint8_t *first, *second;
    size_t first_count, second_count;
};

static int send_frame(struct ecoformer_link *link, uint8_t kind, const struct parts *payload)
{
    struct sending out;
    size_t length = payload->first_count + payload->second_count;
    uint8_t word[4];

    memset(&out, 0, sizeof out);
    out.link = link;
    out.state = 0xffffffffu;
    send_raw(&out, ECOFORMER_MAGIC);
    word[0] = kind;
    word[1] = link->tag;
    word[2] = (uint8_t)length;
    word[3] = (uint8_t)(length >> 8);
    send_bytes(&out, word, sizeof word);
    send_bytes(&out, payload->first, payload->first_count);
    send_bytes(&out, payload->second, payload->second_count);
    put_word(word, ~out.state);
    send_bytes(&out, word, sizeof word);
    flush(&out);
    return out.status;
}

/* ---- frames in ------------------------------------------------------------------------------ */

static void count_fault(struct ecoformer_link *link, uint16_t fault)
{
    if (fault < ECOFORMER_FAULTS) {
        ++link->faults[fault];
    }
}

static int next_byte(struct ecoformer_link *link, uint8_t *byte, unsigned timeout)
{
    if (link->taken == link->available) {
        link->taken = 0;
        link->available = link->read(link->context, link->incoming, sizeof link->incoming, timeout);
        if (link->available == 0u) {
            return 0;
        }
    }
    *byte = link->incoming[link->taken++];
    return 1;
}

/* The answer to the request with the current tag into kind, payload and length; 0 if none comes. */
static int await(struct ecoformer_link *link)
{
    unsigned timeout = link->timeout;
    uint8_t header[HEADER], check[CHECK], byte = 0;
    size_t place = 0, length = 0;
    int inside = 0, escaped = 0, reported = 0;
    uint32_t state;

    while (next_byte(link, &byte, timeout)) {
        if (byte == ECOFORMER_MAGIC) {
            if (inside && place != 0u) {
                count_fault(link, ECOFORMER_FAULT_CUT);
                timeout = link->settle;
            }
            inside = 1;
            escaped = reported = 0;
            place = 0;
            continue;
        }
        if (!inside) {
            if (!reported) {
                count_fault(link, ECOFORMER_FAULT_GARBAGE);
                timeout = link->settle;
            }
            reported = 1;
            continue;
        }
        if (byte == ECOFORMER_ESCAPE && !escaped) {
            escaped = 1;
            continue;
        }
        if (escaped) {
            byte ^= ECOFORMER_FLIP;
            escaped = 0;
        }
        if (place < HEADER) {
            header[place] = byte;
            if (place == HEADER - 1u) {
                length = header[2] | (size_t)header[3] << 8;
                if (length > sizeof link->payload) {
                    count_fault(link, ECOFORMER_FAULT_LENGTH);
                    timeout = link->settle;
                    inside = 0;
                    reported = 1;
                }
            }
        } else if (place < HEADER + length) {
            link->payload[place - HEADER] = byte;
        } else {
            check[place - HEADER - length] = byte;
        }
        ++place;
        if (place < HEADER || place < HEADER + length + CHECK) {
            continue;
        }
        inside = 0;
        state = crc(crc(0xffffffffu, header, HEADER), link->payload, length);
        if (~state != get_word(check)) {
            count_fault(link, ECOFORMER_FAULT_CHECK);
            timeout = link->settle;
            continue;
        }
        link->kind = header[0];
        link->length = length;
        if (link->kind == ECOFORMER_KIND_ERROR && length >= 4u
            && get_half(link->payload) < ECOFORMER_FAULT_KIND) {
            count_fault(link, get_half(link->payload));
            timeout = link->settle; /* the request or another frame was lost */
        } else if (header[1] == link->tag) {
            return 1;
        }
    }
    return 0;
}

/* ---- requests ------------------------------------------------------------------------------- */

static int ask(struct ecoformer_link *link, uint8_t kind, const struct parts *payload)
{
    unsigned attempt;
    uint16_t fault;

    ++link->tag;
    for (attempt = 0; attempt < link->attempts; ++attempt) {
        link->repeats += attempt > 0u;
        if (send_frame(link, kind, payload) != 0) {
            return ECOFORMER_DEAD;
        }
        if (!await(link)) {
            continue;
        }
        if (link->kind == kind) {
            return ECOFORMER_OK;
        }
        fault = get_half(link->payload);
        if (link->kind != ECOFORMER_KIND_ERROR || link->length < 4u) {
            return ECOFORMER_FOREIGN;
        }
        link->detail = get_half(link->payload + 2);
        if (fault == ECOFORMER_FAULT_REFUSED) {
            return ECOFORMER_REFUSED;
        }
        return fault == ECOFORMER_FAULT_BUSY ? 1 : ECOFORMER_FOREIGN;
    }
    return ECOFORMER_DEAD;
}

static int ask_whole(struct ecoformer_link *link, uint8_t kind, const uint8_t *bytes, size_t count)
{
    struct parts payload = {bytes, NULL, count, 0};

    return ask(link, kind, &payload);
}

int ecoformer_open(struct ecoformer_link *link)
{
    static const uint32_t offsets[5] = {
        ECOFORMER_LINK_LINK_ID, ECOFORMER_LINK_VERSION, ECOFORMER_LINK_FRAME_BYTES,
        ECOFORMER_LINK_CLOCK_HZ, ECOFORMER_LINK_BAUD,
    };
    uint8_t request[sizeof offsets];
    unsigned i;
    int status;

    memset(link->faults, 0, sizeof link->faults);
    link->repeats = 0;
    link->taken = link->available = 0;
    /* The first request has the tag 0 and reads constants: whatever the board did last for another
       host, it answers this one right. */
    link->tag = 0xff;
    for (i = 0; i < 5u; ++i) {
        put_word(request + 4u * i, offsets[i]);
    }
    status = ask_whole(link, ECOFORMER_KIND_READ, request, sizeof request);
    if (status != ECOFORMER_OK) {
        return status;
    }
    if (link->length != sizeof request || get_word(link->payload) != ECOFORMER_LINK_IDENTITY
        || get_word(link->payload + 4) != ECOFORMER_LINK_PROTOCOL) {
        return ECOFORMER_FOREIGN;
    }
    link->frame_bytes = get_word(link->payload + 8);
    if (link->frame_bytes > sizeof link->payload) {
        return ECOFORMER_TOO_LONG;
    }
    link->clock_hz = get_word(link->payload + 12);
    link->baud = get_word(link->payload + 16);
    return ECOFORMER_OK;
}

int ecoformer_read(struct ecoformer_link *link, uint32_t offset, uint32_t *value)
{
    uint8_t request[4];
    int status;

    put_word(request, offset);
    status = ask_whole(link, ECOFORMER_KIND_READ, request, sizeof request);
    if (status == ECOFORMER_OK) {
        *value = get_word(link->payload);
    }
    return status;
}

int ecoformer_write_pairs(struct ecoformer_link *link, const struct ecoformer_pair *pairs,
                          size_t count)
{
    uint8_t request[256];
    size_t most = sizeof request < link->frame_bytes ? sizeof request : link->frame_bytes;
    size_t some, i;
    int status;

    for (; count > 0u; count -= some, pairs += some) {
        some = count < most / 8u ? count : most / 8u;
        for (i = 0; i < some; ++i) {
            put_word(request + 8u * i, pairs[i].offset);
            put_word(request + 8u * i + 4u, pairs[i].data);
        }
        status = ask_whole(link, ECOFORMER_KIND_WRITE, request, 8u * some);
        if (status != ECOFORMER_OK) {
            return status;
        }
    }
    return ECOFORMER_OK;
}

int ecoformer_write(struct ecoformer_link *link, uint32_t offset, uint32_t value)
{
    struct ecoformer_pair pair;

    pair.offset = offset;
    pair.data = value;
    return ecoformer_write_pairs(link, &pair, 1);
}

int ecoformer_reset(struct ecoformer_link *link)
{
    return ecoformer_write(link, ECOFORMER_LINK_RESET, 1);
}

int ecoformer_load_set(struct ecoformer_link *link, const struct ecoformer_registers *registers,
                       uint32_t set, const struct ecoformer_pair *words, size_t count)
{
    struct ecoformer_pair pairs[32];
    uint32_t status_word = 0, polls = 0, expected = 0;
    size_t i, filled = 0;
    int status;

    do {
        status = ecoformer_read(link, registers->status, &status_word);
        if (status != ECOFORMER_OK) {
            return status;
        }
        if (polls++ > link->patience) {
            return ECOFORMER_SILENT;
        }
    } while (!(status_word & registers->shadow_free_mask));
    for (i = 0; i < count; ++i) {
        if (i == 0u || words[i].offset != expected) {
            pairs[filled].offset = registers->param_address;
            pairs[filled++].data = words[i].offset;
        }
        pairs[filled].offset = registers->param_data;
        pairs[filled++].data = words[i].data;
        expected = words[i].offset + 1u;
        if (filled > sizeof pairs / sizeof pairs[0] - 2u) {
            status = ecoformer_write_pairs(link, pairs, filled);
            if (status != ECOFORMER_OK) {
                return status;
            }
            filled = 0;
        }
    }
    pairs[filled].offset = registers->commit;
    pairs[filled++].data = set;
    return ecoformer_write_pairs(link, pairs, filled);
}

/* ---- packets -------------------------------------------------------------------------------- */

/* Append results that are there: 1 if the packet has ended, 0 if not, *some if there were any. */
static int fetch(struct ecoformer_link *link, uint8_t *results, size_t most, size_t *got,
                 int *error, int *some)
{
    size_t count;
    uint16_t flags;
    int status = ask_whole(link, ECOFORMER_KIND_PACKET_OUT, NULL, 0);

    *some = status == ECOFORMER_OK && link->length > ECOFORMER_CHUNK_HEADER;
    if (!*some) {
        return status;
    }
    count = link->length - ECOFORMER_CHUNK_HEADER;
    if (count > most - *got) {
        return ECOFORMER_TOO_LONG;
    }
    memcpy(results + *got, link->payload + ECOFORMER_CHUNK_HEADER, count);
    *got += count;
    flags = get_half(link->payload + 4);
    *error = (flags & ECOFORMER_FLAG_ERROR) != 0;
    return (flags & ECOFORMER_FLAG_LAST) != 0;
}

int ecoformer_attend(struct ecoformer_link *link, uint32_t set, const uint8_t *tokens,
                     size_t count, size_t beat_bytes, uint8_t *results, size_t most, size_t *got,
                     int *error)
{
    uint8_t header[ECOFORMER_CHUNK_HEADER];
    size_t size = (link->frame_bytes - ECOFORMER_CHUNK_HEADER) / beat_bytes * beat_bytes;
    struct parts payload = {header, NULL, sizeof header, 0};
    uint32_t waited = 0;
    int status, ended = 0, some;

    *got = 0;
    *error = 0;
    memset(header, 0, sizeof header);
    put_word(header, set);
    while (count > 0u) {
        payload.second = tokens;
        payload.second_count = count < size ? count : size;
        header[4] = payload.second_count == count ? ECOFORMER_FLAG_LAST : 0;
        status = ask(link, ECOFORMER_KIND_PACKET_IN, &payload);
        if (status < 0) {
            return status;
        }
        if (status == ECOFORMER_OK) {
            tokens += payload.second_count;
            count -= payload.second_count;
            waited = 0;
            continue;
        }
        if (!ended) { /* no room yet: an engine may answer before it has the whole sequence */
            status = fetch(link, results, most, got, error, &some);
            if (status < 0) {
                return status;
            }
            ended = status;
        }
        if (waited++ > link->patience) {
            return ECOFORMER_SILENT;
        }
    }
    for (waited = 0; !ended;) {
        status = fetch(link, results, most, got, error, &some);
        if (status < 0) {
            return status;
        }
        ended = status;
        waited = some ? 0 : waited + 1u;
        if (waited > link->patience) {
            return ECOFORMER_SILENT;
        }
    }
    return ECOFORMER_OK;
}
