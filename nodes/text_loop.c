/* The text model of protocol/text, compiled: coding and training give the bytes that the Python gives.
 *
 * Optional. Integers only; every index into a pack is checked against its tables. Compiled by nodes/text_loop.py.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define API __attribute__((visibility("default")))
#define CONTEXTS_MAX 16
#define LOCALS_MAX 8
#define FOLLOWERS_MAX 64
#define INPUTS_MAX (CONTEXTS_MAX + LOCALS_MAX + 1)
#define ORDERS 8

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/* As nodes/text_loop.py fills it in: the layout is that of protocol/text/pack.py. */
typedef struct {
    u16 *numbers;
    int32_t contexts, locals;
    int32_t kinds[CONTEXTS_MAX], local_contexts[LOCALS_MAX];
    u32 buckets[CONTEXTS_MAX], entries[CONTEXTS_MAX];
    u64 offsets_at[CONTEXTS_MAX], entries_at[CONTEXTS_MAX];
    u64 alphabet, pairs, states, local_states, weights[3], final, map;
} Pack;

static int16_t squash_less[4096], stretch_of[4096]; /* squash minus 32768 */
static u8 quantum[6401], kind_of[144];
static const int count_of_level[8] = {1, 2, 3, 5, 8, 14, 32, 100};

API void tl_numbers(const int32_t *squash, const int32_t *stretch, const u8 *quanta, const u8 *kinds) {
    for (int i = 0; i < 4096; i++) squash_less[i] = squash[i] - 32768, stretch_of[i] = stretch[i];
    memcpy(quantum, quanta, sizeof quantum);
    memcpy(kind_of, kinds, sizeof kind_of);
}

static inline int squash(int x) { return squash_less[x + 2048] + 32768; }

/* ---- what came before: protocol/text/contexts.py ---- */
typedef struct {
    u32 characters[ORDERS], orders[ORDERS + 1];
    u32 part, code, word, before, two_before, gap;
    int missing, last_byte, byte_before, word_length;
    long length;
} History;

static inline u32 mix(u32 value, u32 code) {
    value = (value + code + 1) * 0x9E3779B1u;
    return value ^ value >> 15;
}

static void fold(History *h) {
    u32 value = 0;
    for (int i = 0; i < ORDERS; i++) h->orders[i + 1] = value = mix(value, h->characters[i]);
}

static void begin(History *h) {
    memset(h, 0, sizeof *h);
    fold(h);
}

static int is_letter(u32 c) {
    if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '\'';
    switch (c) {
    case 0x60C: case 0x61B: case 0x61F: case 0x6D4: case 0x964: case 0x965: case 0xA1: case 0xAB: case 0xBB: case 0xBF:
        return 0;
    }
    return c < 0x2000 || c >= 0x2070;
}

static void character(History *h, u32 c) {
    memmove(h->characters + 1, h->characters, (ORDERS - 1) * sizeof(u32));
    h->characters[0] = c;
    fold(h);
    if (is_letter(c)) {
        h->word = mix(h->word, c >= 'A' && c <= 'Z' ? c + 32 : c);
        h->word_length++;
        return;
    }
    if (h->word_length) {
        h->two_before = h->before;
        h->before = h->word;
        h->word = 0;
        h->word_length = 0;
        h->gap = c * 7;
    } else {
        h->gap = h->gap * 31 + c * 7;
    }
    if (c == '\n') h->before = mix(h->before, c);
}

static void add(History *h, int byte) {
    h->byte_before = h->last_byte;
    h->last_byte = byte;
    h->length++;
    if (byte < 0x80) {
        h->part = 0;
        character(h, byte);
    } else if (byte >= 0xC0) {
        h->part = byte;
        h->missing = byte >= 0xF0 ? 3 : byte >= 0xE0 ? 2 : 1;
        h->code = byte & (0x3F >> h->missing);
    } else {
        h->part = h->part << 6 | byte;
        h->code = h->code << 6 | (byte & 0x3F);
        if (--h->missing == 0) {
            h->part = 0;
            character(h, h->code);
        }
    }
}

static void hashes(const History *h, const int32_t *kinds, int n, u32 *found) {
    u32 gap = h->word_length ? 0 : h->gap, pair = mix(h->word + 0x202, h->before), part = h->part * 0x85EBCA6Bu;
    for (int i = 0; i < n; i++) {
        int kind = kinds[i];
        u32 v = kind <= ORDERS ? h->orders[kind]
                : kind == 9    ? mix(h->word + 0x101, gap)
                : kind == 10   ? pair ^ gap
                : kind == 11   ? mix(pair + 0x303, h->two_before) ^ gap
                : kind == 12   ? mix(h->word + 0x404, h->two_before) ^ gap
                               : mix(h->orders[2] + 0x505, h->before);
        v = (v ^ part ^ (u32)kind * 0xC2B2AE35u) * 0x2C1B3C6Du;
        v = (v ^ v >> 15) * 0x9E3779B1u;
        found[i] = v ^ v >> 13;
    }
}

/* ---- the model: protocol/text/model.py ---- */
typedef struct {
    u64 key; /* hash, and the local context plus one above it; 0 is free */
    int32_t byte, count;
} Seen;

typedef struct {
    const Pack *pack;
    const int16_t *signs;
    History history;
    u32 hash[CONTEXTS_MAX];
    u8 letter[CONTEXTS_MAX][FOLLOWERS_MAX], count[CONTEXTS_MAX][FOLLOWERS_MAX];
    int followers[CONTEXTS_MAX];
    int local_byte[LOCALS_MAX], local_count[LOCALS_MAX];
    Seen *seen;
    u64 seen_mask;
    int width, node, bit;
    /* how the last probability came about */
    int inputs, weight[INPUTS_MAX], stretched[INPUTS_MAX];
    int places, expected[INPUTS_MAX];
    u64 place[INPUTS_MAX], sets[3], final, map_place;
    int mixed[3], x;
} Model;

static Seen *seen_slot(Model *m, int local) {
    u64 key = (u64)m->hash[m->pack->local_contexts[local]] | (u64)(local + 1) << 32;
    u64 at = key * 0x9E3779B97F4A7C15ull >> 20 & m->seen_mask;
    while (m->seen[at].key && m->seen[at].key != key) at = (at + 1) & m->seen_mask;
    m->seen[at].key = key;
    return &m->seen[at];
}

static void note(Model *m, int byte) {
    for (int i = 0; i < m->pack->locals; i++) {
        Seen *s = seen_slot(m, i);
        s->count = s->count && s->byte == byte ? s->count + 1 : 1;
        s->byte = byte;
    }
    add(&m->history, byte);
}

static void look_up(Model *m) {
    const Pack *p = m->pack;
    const u16 *numbers = p->numbers;
    int last = m->history.last_byte;
    const u8 *letters = (const u8 *)(numbers + p->alphabet) + (last >= 'A' && last <= 'Z' ? last + 32 : last) * 64;
    for (int i = 0; i < p->contexts; i++) {
        u32 hash = m->hash[i];
        u64 n = p->entries[i], bucket = (u64)hash * p->buckets[i] >> 32;
        int64_t start = (int64_t)(bucket * n / p->buckets[i]) + numbers[p->offsets_at[i] + bucket] - 32768;
        int64_t end = (int64_t)((bucket + 1) * n / p->buckets[i]) + numbers[p->offsets_at[i] + bucket + 1] - 32768;
        int k = 0;
        if (start >= 0 && end <= (int64_t)n)
            for (const u16 *e = numbers + p->entries_at[i] + start, *stop = numbers + p->entries_at[i] + end; e < stop; e++)
                if ((*e & 127) == (hash & 127) && k < FOLLOWERS_MAX) {
                    m->letter[i][k] = letters[*e >> 7 & 63];
                    m->count[i][k++] = count_of_level[*e >> 13];
                }
        m->followers[i] = k;
    }
    for (int i = 0; i < p->locals; i++) {
        Seen *s = seen_slot(m, i);
        m->local_byte[i] = s->byte | 256;
        m->local_count[i] = s->count > 7 ? 7 : s->count;
    }
    m->node = 1;
    m->bit = 0;
}

static void open_model(Model *m) {
    begin(&m->history);
    hashes(&m->history, m->pack->kinds, m->pack->contexts, m->hash);
}

static int start(Model *m, const Pack *p, const u8 *about, long about_length, long length_max) {
    memset(m, 0, sizeof *m);
    m->pack = p;
    m->signs = (const int16_t *)p->numbers;
    m->width = 8 * (p->contexts + 1 + p->locals);
    u64 slots = 256;
    while (slots < 2 * (u64)(about_length + length_max + 2) * (p->locals + 1)) slots *= 2;
    m->seen_mask = slots - 1;
    if (!(m->seen = calloc(slots, sizeof(Seen)))) return -1;
    open_model(m);
    for (long i = 0; i < about_length; i++) {
        note(m, about[i]);
        hashes(&m->history, p->kinds, p->contexts, m->hash);
    }
    if (about_length) open_model(m);
    look_up(m);
    return 0;
}

static inline int clamped(int64_t x) { return x > 2047 ? 2047 : x < -2047 ? -2047 : (int)x; }

static inline void input(Model *m, int weight, int stretched) {
    m->weight[m->inputs] = weight;
    m->stretched[m->inputs++] = stretched;
}

static int predict(Model *m) {
    const Pack *p = m->pack;
    const History *h = &m->history;
    int shift = 7 - m->bit, node = m->node, highest = 0, flags = 0, agreed = 0, alive = 0, matches = 0;
    m->inputs = m->places = 0;
    for (int i = 0; i < p->contexts; i++) {
        int n = m->followers[i], zeros = 0, ones = 0, kind = p->kinds[i];
        if (!n) continue;
        alive++;
        for (int j = 0; j < n; j++)
            if (m->letter[i][j] >> shift & 1) ones += m->count[i][j];
            else zeros += m->count[i][j];
        int state = quantum[zeros] * 12 + quantum[ones];
        agreed += kind_of[state] < 5;
        if (kind <= ORDERS) highest = kind > 7 ? 7 : kind;
        else if (kind <= 11) flags |= 1 << (kind - 9);
        u64 place = p->states + i * 1152 + m->bit * 144 + state;
        m->expected[m->places] = 1;
        m->place[m->places++] = place;
        input(m, i * 8 + kind_of[state], m->signs[place]);
    }
    u16 pair = p->numbers[p->pairs + h->last_byte * 256 + node];
    if (pair) input(m, p->contexts * 8 + (pair & 7), stretch_of[pair >> 4]);
    for (int i = 0; i < p->locals; i++)
        if (m->local_count[i] && m->local_byte[i] >> (shift + 1) == node) {
            u64 place = p->local_states + i * 64 + m->bit * 8 + m->local_count[i];
            int expected = m->local_byte[i] >> shift & 1;
            m->expected[m->places] = expected;
            m->place[m->places++] = place;
            input(m, (p->contexts + 1 + i) * 8 + m->local_count[i], expected ? m->signs[place] : -m->signs[place]);
            matches++;
        }
    int numbers[3] = {
        highest * 32 + (matches > 3 ? 3 : matches) * 8 + flags,
        256 * ((h->word_length > 0) + 2 * (h->length >= 4)) + node,
        ((alive > 9 ? 9 : alive) * 5 + (alive ? agreed * 4 / alive : 0)) * 8 + m->bit,
    };
    m->final = p->final + (highest * 8 + m->bit) * 3;
    int64_t final = 0;
    for (int s = 0; s < 3; s++) {
        m->sets[s] = p->weights[s] + (u64)m->width * numbers[s];
        const int16_t *set = m->signs + m->sets[s];
        int64_t sum = 0;
        for (int i = 0; i < m->inputs; i++) sum += (int64_t)set[m->weight[i]] * m->stretched[i];
        m->mixed[s] = clamped(sum >> 12);
        final += (int64_t)m->signs[m->final + s] * m->mixed[s];
    }
    m->x = clamped(final >> 12);
    int x = m->x + 2048, part = x & 127;
    u32 hash = (u32)h->last_byte * 0x9E3779B1u + (u32)h->byte_before * 0x85EBCA6Bu + (u32)node * 0xC2B2AE35u;
    u64 at = p->map + ((u64)(hash ^ hash >> 15) * 0x2C1B3C6Dull >> 20 & 4095) * 33 + (x >> 7);
    int mapped = (p->numbers[at] * (128 - part) + p->numbers[at + 1] * part) >> 7;
    m->map_place = at + (part > 63);
    int one = (squash(m->x) + mapped) >> 1;
    return one < 24 ? 24 : one > 65512 ? 65512 : one;
}

static void update(Model *m, int one) {
    int shift = 7 - m->bit;
    for (int i = 0; i < m->pack->contexts; i++) {
        int k = 0;
        for (int j = 0; j < m->followers[i]; j++)
            if ((m->letter[i][j] >> shift & 1) == one) {
                m->letter[i][k] = m->letter[i][j];
                m->count[i][k++] = m->count[i][j];
            }
        m->followers[i] = k;
    }
    m->node = m->node * 2 + one;
    if (++m->bit == 8) {
        note(m, m->node & 255);
        hashes(&m->history, m->pack->kinds, m->pack->contexts, m->hash);
        look_up(m);
    }
}

/* ---- the coder: protocol/text/coder.py. Returns bytes written, -1 beyond the limit, -2 out of memory,
 * -3 damaged: no end, -4 damaged: bytes behind the end ---- */
API long tl_encode(const Pack *p, const u8 *about, long about_length, const u8 *text, long length, u8 *out, long max) {
    Model m;
    if (start(&m, p, about, about_length, length)) return -2;
    u32 low = 0, high = 0xFFFFFFFFu;
    long n = 0;
    for (long i = 0; i <= length; i++) {
        int byte = i < length ? text[i] : 0;
        for (int shift = 7; shift >= 0; shift--) {
            int one = byte >> shift & 1;
            u32 middle = low + (u32)((u64)(high - low) * predict(&m) >> 16);
            if (one) high = middle;
            else low = middle + 1;
            while (!((low ^ high) >> 24)) {
                out[n++] = high >> 24;
                low <<= 8;
                high = high << 8 | 255;
            }
            update(&m, one);
        }
        if (n > max) {
            free(m.seen);
            return -1;
        }
    }
    free(m.seen);
    for (int size = 0; size < 5; size++) {
        int step = 32 - 8 * size;
        u64 value = ((u64)low + (((u64)1 << step) - 1)) >> step << step;
        if (value <= high) {
            for (int j = 0; j < size; j++) out[n++] = value >> (24 - 8 * j);
            break;
        }
    }
    for (int k = 0; k < 4 && n && !out[n - 1]; k++) n--;
    return n > max ? -1 : n;
}

API long tl_decode(const Pack *p, const u8 *about, long about_length, const u8 *data, long length, u8 *out, long max) {
    Model m;
    if (start(&m, p, about, about_length, max)) return -2;
    u32 low = 0, high = 0xFFFFFFFFu, window = 0;
    long n = 0, taken;
    for (taken = 0; taken < 4; taken++) window = window << 8 | (taken < length ? data[taken] : 0);
    for (;;) {
        int byte = 0;
        for (int i = 0; i < 8; i++) {
            u32 middle = low + (u32)((u64)(high - low) * predict(&m) >> 16);
            int one = window <= middle;
            if (one) high = middle;
            else low = middle + 1;
            while (!((low ^ high) >> 24)) {
                low <<= 8;
                high = high << 8 | 255;
                window = window << 8 | (taken < length ? data[taken] : 0);
                taken++;
            }
            byte = byte * 2 + one;
            update(&m, one);
        }
        if (!byte) break;
        if (taken > length + 8 || n == max) {
            free(m.seen);
            return taken > length + 8 ? -3 : -1;
        }
        out[n++] = byte;
    }
    free(m.seen);
    return taken < length ? -4 : n;
}

/* ---- training: nodes/pack_training.py ---- */

/* Follows `pieces` pieces but those left out, each ended by a zero byte, and writes hash << 6 | rank for each byte whose rank is known. */
API long tl_follow(const u8 *data, const u64 *offsets, long pieces, const u8 *left_out, int32_t kind, const u8 *ranks,
                   u64 *keys) {
    long n = 0;
    for (long i = 0; i < pieces; i++) {
        if (left_out[i]) continue;
        History h;
        begin(&h);
        for (u64 j = offsets[i]; j < offsets[i + 1]; j++) {
            int last = h.last_byte >= 'A' && h.last_byte <= 'Z' ? h.last_byte + 32 : h.last_byte;
            int rank = ranks[last * 256 + data[j]];
            if (rank < 64) {
                u32 hash;
                hashes(&h, &kind, 1, &hash);
                keys[n++] = (u64)hash << 6 | rank;
            }
            add(&h, data[j]);
        }
    }
    return n;
}

/* Sorts `keys` and gives each different one with how often it came. */
API long tl_count(u64 *keys, u64 *spare, u32 *counts, long n) {
    for (int shift = 0; shift < 48; shift += 16) {
        static u64 at[65536];
        memset(at, 0, sizeof at);
        for (long i = 0; i < n; i++) at[keys[i] >> shift & 65535]++;
        u64 sum = 0;
        for (int i = 0; i < 65536; i++) {
            u64 here = at[i];
            at[i] = sum;
            sum += here;
        }
        for (long i = 0; i < n; i++) spare[at[keys[i] >> shift & 65535]++] = keys[i];
        memcpy(keys, spare, n * sizeof(u64));
    }
    long found = 0;
    for (long i = 0; i < n; i++) {
        if (found && keys[found - 1] == keys[i]) counts[found - 1]++;
        else {
            keys[found] = keys[i];
            counts[found++] = 1;
        }
    }
    return found;
}

static int level_of(u32 count) {
    static const u32 most[7] = {1, 2, 3, 5, 9, 20, 60};
    int level = 0;
    while (level < 7 && count > most[level]) level++;
    return level;
}

/* Keeps the commonest of `n` sorted keys, at most about `room`, as table entries; `buckets` of them per call of
 * room for 8. Returns how many entries there are, or -1 where an offset doesn't fit. Call with `entries` null to learn
 * how many there will be. */
API long tl_lay_out(const u64 *keys, const u32 *counts, long n, long room, u32 buckets, long total, u16 *offsets, u16 *entries) {
    u64 with[256] = {0};
    for (long i = 0; i < n; i++) with[counts[i] > 255 ? 255 : counts[i]]++;
    long kept = 0;
    u32 limit = 255;
    while (limit > 1 && kept + (long)with[limit] <= room) kept += with[limit--];
    u64 share = with[limit] ? (u64)65536 * (u64)(room - kept) / with[limit] : 65536;
    long found = 0;
    u64 bucket = 0, context = ~(u64)0;
    u32 largest = 0;
    for (long i = 0; i < n; i++) {
        u64 hash = keys[i] >> 6;
        if (hash != context) {
            context = hash;
            largest = 0;
            for (long j = i; j < n && keys[j] >> 6 == hash; j++)
                if (counts[j] > largest) largest = counts[j];
        }
        if (counts[i] < limit || (counts[i] <= limit && limit < 255 && ((u32)hash * 0x9E3779B1u) >> 16 >= share)) continue;
        if (entries) {
            for (u64 mine = hash * buckets >> 32; bucket <= mine; bucket++) {
                int64_t offset = found - (int64_t)(bucket * (u64)total / buckets) + 32768;
                if (offset < 0 || offset > 65535) return -1;
                offsets[bucket] = offset;
            }
            u64 count = counts[i];
            if (largest > 100) count = count * 100 / largest;
            entries[found] = level_of(count ? count : 1) << 13 | (keys[i] & 63) << 7 | (hash & 127);
        }
        found++;
    }
    if (entries)
        for (; bucket <= buckets; bucket++) {
            int64_t offset = found - (int64_t)(bucket * (u64)total / buckets) + 32768;
            if (offset < 0 || offset > 65535) return -1;
            offsets[bucket] = offset;
        }
    return found;
}

/* One pass over the pieces left out of the tables; `weights` from the first set to the end of final, 65536 = 1. */
API long tl_learn(const Pack *p, const u8 *data, const u64 *offsets, long pieces, const u8 *left_out, long cut, int rate,
                  int32_t *weights, u32 *states, u16 *seen) {
    int16_t *signs = (int16_t *)p->numbers;
    long learned = 0;
    for (long piece = 0; piece < pieces; piece++) {
        if (!left_out[piece]) continue;
        long length = offsets[piece + 1] - offsets[piece];
        if (length > cut) length = cut;
        Model m;
        if (start(&m, p, 0, 0, length)) return -1;
        for (long i = 0; i < length * 8; i++) {
            int one = data[offsets[piece] + i / 8] >> (7 - i % 8) & 1;
            predict(&m);
            for (int j = 0; j < m.places; j++) {
                u64 at = m.place[j] - p->states;
                int64_t aim = one == m.expected[j] ? 0xFFFFFFFFll : 0, now = states[at];
                now += ((aim - now) * (655360 / (10 * seen[at] + 16))) >> 16;
                states[at] = now < 0 ? 0 : now > 0xFFFFFFFFll ? 0xFFFFFFFFu : (u32)now;
                if (seen[at] < 1000) seen[at]++;
                signs[m.place[j]] = stretch_of[states[at] >> 20];
            }
            for (int s = 0; s < 3; s++) {
                int64_t error = (one << 16) - squash(m.mixed[s]);
                for (int j = 0; j < m.inputs; j++) {
                    u64 place = m.sets[s] + m.weight[j];
                    int32_t *w = &weights[place - p->weights[0]];
                    *w += (int32_t)((m.stretched[j] * error * rate) >> 18);
                    int32_t rounded = (*w + 8) >> 4;
                    signs[place] = rounded > 32767 ? 32767 : rounded < -32768 ? -32768 : rounded;
                }
            }
            int64_t error = (one << 16) - squash(m.x);
            for (int s = 0; s < 3; s++) {
                int32_t *w = &weights[m.final + s - p->weights[0]];
                *w += (int32_t)((m.mixed[s] * error * 2) >> 18);
                int32_t rounded = (*w + 8) >> 4;
                signs[m.final + s] = rounded > 32767 ? 32767 : rounded < -32768 ? -32768 : rounded;
            }
            u16 *map = &p->numbers[m.map_place];
            *map += ((one ? 65535 : 0) - *map) >> 6;
            update(&m, one);
        }
        free(m.seen);
        learned += length;
    }
    return learned;
}
