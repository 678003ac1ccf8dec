/* The novelty index in C: the same decisions as _reference.py, for pools of millions. Loaded by _native.py with ctypes.
 *
 * Two texts of m and n tokens are near when their LCS is at least need(m, n), taken from the very float of rouge_score.
 * Sort the tokens of each text by how rare they are. At most m - need of them go unmatched, so the rarest matched one
 * stands at a place <= m - need of one text and <= n - need of the other, the second rarest at most one place further,
 * and so on; and matched tokens stand in the same order in both. So a text is filed under
 *   its rare tokens singly, its commoner ones as ordered pairs, its commonest as ordered triples,
 * the size of a tuple being that of its rarest token. Each entry carries the text's length, its slack (the least
 * unmatched tokens it presumes) and where its rarest token stands: most are ruled out without touching the text. A
 * 64-bit signature of the tokens rules out nearly all others; the rest get their LCS, bit by bit in machine words.
 *
 * Bands keep tuples cheap: a pair of texts meets in the band of the longer one. Pairs whose need may be below three
 * tokens, and texts above 64 tokens, are filed singly.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define WORD 64u          /* tokens per machine word, and the longest text that is filed by tuples */
#define TRIPLES 32u       /* the longest text that is filed by triples */
#define SINGLE 192u       /* a token of at most so many occurrences is filed singly */
#define PAIR 64u          /* a token of at most sqrt(PAIR * texts) occurrences is filed in pairs, above in triples */
#define BANDS 5
#define IMPOSSIBLE 255u    /* as a need: more than any short text has */
#define MANY 512u          /* candidates that are looked at before more are gathered */
#define FRESH_BITS (1u << 20)
#define FIRST_REFRESH 64u
#define RANKED 0x80000000u /* tokens ranked at the last refresh; newer ones are rarer than all of them */
#define CLAMP16 65535u

#define PREFETCH(address) __builtin_prefetch(address) /* gcc and clang; another compiler fails, and Python does the work */
#define BITS(word) ((uint32_t)__builtin_popcountll(word))
#define MIN(a, b) ((a) < (b) ? (a) : (b))

typedef struct { uint32_t text; uint16_t length; uint8_t slack, at; } Entry;
typedef struct { uint32_t hash, first, second; } Slot; /* hash 0: free; low bit 0: one entry inline; 1: (offset, count) */
typedef struct { uint32_t hash; uint8_t slack, at, band; } Key;
typedef struct { uint32_t low, high, tuple; } Band;    /* lengths of the longer text; largest tuple */
typedef struct { Key *items; size_t count, room; } Keys;
typedef struct { double score; int64_t text; } Best;

typedef struct {              /* what one thread needs to ask */
    uint32_t *where;          /* token -> 1 + its row in `masks`, 0 when the asking text has it not */
    size_t where_room;
    uint64_t *masks, *state;  /* `words` machine words per distinct token */
    size_t masks_room, state_room;
    uint32_t words;
    uint32_t *stamp, tick;    /* text -> the last question for which it was looked at */
    size_t stamp_room;
    uint32_t *found;          /* candidates that wait for the signature */
    size_t found_count, found_room;
    uint32_t *row;            /* need(m, n) of the long band, from n = row_low */
    size_t row_room;
    uint64_t *order;
    size_t order_room;
    Keys keys[2];
} Probe;

typedef struct {
    double threshold;
    Band bands[BANDS];
    uint32_t band_count;
    uint32_t need[WORD + 1][WORD + 1];
    /* vocabulary */
    uint32_t *words_table, words_cap;
    uint64_t *word_hash, *word_start;
    unsigned char *letters;
    size_t letters_count, letters_room, word_count, word_room, start_room, key_room, size_room;
    uint32_t *key;            /* token -> its place in the order of rarity */
    uint8_t *size;            /* token -> tuple size when it is the rarest */
    /* texts */
    uint32_t *tokens;
    uint64_t *start, *signature;
    size_t token_count, token_room, text_count, start_texts, signature_room, refresh_at;
    uint32_t longest;
    /* the texts of the block being worked on */
    uint32_t *block;
    uint64_t *block_start;
    size_t block_count, block_tokens, block_room, block_start_room;
    unsigned char *lower;
    size_t lower_room;
    /* postings */
    Slot *slots;
    size_t slot_cap, slot_used;
    Entry *entries;
    size_t entry_count, entry_room;
    uint64_t fresh[FRESH_BITS / 64]; /* hashes filed under since the block began: a bit each, some shared */
    uint32_t spare[64];       /* freed blocks, by size: heads of lists through `text` */
    Probe own;
} Index;

/* ---- memory: 0 when there is none */

static int grow(void *array, size_t *room, size_t wanted, size_t item) {
    void **place = array;
    if (wanted <= *room) return 1;
    size_t next = *room + *room / 2 + 64;
    if (next < wanted) next = wanted;
    void *bigger = realloc(*place, next * item);
    if (!bigger) return 0;
    *place = bigger;
    *room = next;
    return 1;
}
#define GROW(array, room, wanted) grow(&(array), &(room), (wanted), sizeof *(array))

/* ---- the float of rouge_score, and what follows from it (no contraction: see the build flags) */

static double f_measure(uint32_t lcs, uint32_t first, uint32_t second) {
    if (!lcs) return 0.0;
    double precision = (double)lcs / second, recall = (double)lcs / first;
    return 2 * precision * recall / (precision + recall);
}

static uint32_t need_from(double threshold, uint32_t m, uint32_t n, uint32_t lcs) {
    uint32_t most = MIN(m, n);
    if (!lcs) lcs = 1;
    while (lcs <= most && !(f_measure(lcs, m, n) > threshold)) lcs++;
    return lcs <= most ? lcs : 0;
}

uint32_t novelty_need(double threshold, uint32_t m, uint32_t n) {
    double guess = threshold * ((double)m + n) / 2 - 1;
    return need_from(threshold, m, n, guess > 1 ? (uint32_t)guess : 1);
}

static uint32_t need_of(const Index *ix, uint32_t m, uint32_t n) {
    return m <= WORD && n <= WORD ? ix->need[m][n] : novelty_need(ix->threshold, m, n);
}

/* The partners of a text of m tokens in a band lie from *low to *high; 0 when there are none. */
static int partners(const Index *ix, const Band *band, uint32_t m, uint32_t *low, uint32_t *high) {
    if (m > band->high) return 0;
    double ratio = ix->threshold / (2 - ix->threshold), least = m * ratio - 1, most = m / ratio + 2;
    *low = m >= band->low ? (least > 1 ? (uint32_t)least : 1) : band->low;
    *high = MIN(most < 4e9 ? (uint32_t)most : UINT32_MAX, band->high);
    while (*low <= *high && !need_of(ix, m, *low)) {
        if (*low > m) return 0; /* partners only get longer, and less like it */
        ++*low;
    }
    return *low <= *high;
}

/* ---- vocabulary */

static uint64_t mix(uint64_t x) {
    x ^= x >> 32; x *= 0xd6e8feb86659fd93u; x ^= x >> 32; x *= 0xd6e8feb86659fd93u; x ^= x >> 32;
    return x;
}

static int words_rehash(Index *ix) {
    uint32_t cap = ix->words_cap ? ix->words_cap * 2 : 1024;
    uint32_t *table = calloc(cap, sizeof *table);
    if (!table) return 0;
    for (size_t id = 0; id < ix->word_count; id++) {
        uint32_t at = (uint32_t)ix->word_hash[id] & (cap - 1);
        while (table[at]) at = (at + 1) & (cap - 1);
        table[at] = (uint32_t)id + 1;
    }
    free(ix->words_table);
    ix->words_table = table;
    ix->words_cap = cap;
    return 1;
}

/* Return the number of a word, new or known; -1 without memory. */
static int64_t word(Index *ix, const unsigned char *letters, size_t length) {
    uint64_t hash = 1469598103934665603u;
    for (size_t i = 0; i < length; i++) hash = (hash ^ letters[i]) * 1099511628211u;
    hash = mix(hash);
    if (2 * (ix->word_count + 1) > ix->words_cap && !words_rehash(ix)) return -1;
    uint32_t at = (uint32_t)hash & (ix->words_cap - 1);
    for (; ix->words_table[at]; at = (at + 1) & (ix->words_cap - 1)) {
        size_t id = ix->words_table[at] - 1;
        uint64_t start = ix->word_start[id];
        if (ix->word_hash[id] == hash && ix->word_start[id + 1] - start == length &&
            !memcmp(ix->letters + start, letters, length))
            return (int64_t)id;
    }
    size_t id = ix->word_count;
    if (id >= RANKED - 1 || !GROW(ix->word_hash, ix->word_room, id + 1) ||
        !GROW(ix->word_start, ix->start_room, id + 2) || !GROW(ix->key, ix->key_room, id + 1) ||
        !GROW(ix->size, ix->size_room, id + 1) || !GROW(ix->letters, ix->letters_room, ix->letters_count + length))
        return -1;
    ix->word_hash[id] = hash;
    memcpy(ix->letters + ix->letters_count, letters, length);
    ix->word_start[id] = ix->letters_count;
    ix->word_start[id + 1] = ix->letters_count += length;
    ix->key[id] = (uint32_t)id;
    ix->size[id] = 1;
    ix->word_count++;
    ix->words_table[at] = (uint32_t)id + 1;
    return (int64_t)id;
}

/* Put the tokens of one text into the block. Cut: ASCII text, lower-cased into runs of a-z and 0-9, as rouge_score does;
 * otherwise the tokens are given, with a blank between them. */
static int encode(Index *ix, const unsigned char *text, size_t length, int cut) {
    if (!GROW(ix->lower, ix->lower_room, length + 1)) return 0;
    unsigned char *lower = ix->lower;
    size_t from = 0;
    for (size_t i = 0; i <= length; i++) {
        unsigned char c = i < length ? text[i] : ' ';
        if (cut) {
            if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
            if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) c = ' ';
        }
        lower[i] = c;
        if (c != ' ') continue;
        if (i > from) {
            int64_t id = word(ix, lower + from, i - from);
            if (id < 0 || !GROW(ix->block, ix->block_room, ix->block_tokens + 1)) return 0;
            ix->block[ix->block_tokens++] = (uint32_t)id;
        }
        from = i + 1;
    }
    return 1;
}

/* ---- keys: what a text is filed under, and asked for */

static int push(Keys *keys, uint64_t hash, uint32_t slack, uint32_t at, uint32_t band) {
    if (!GROW(keys->items, keys->room, keys->count + 1)) return 0;
    Key *key = keys->items + keys->count++;
    key->hash = (uint32_t)(mix(hash + band * 0x9e3779b97f4a7c15u) >> 32) | 2u;
    key->hash &= ~1u;
    key->slack = (uint8_t)MIN(slack, 255u);
    key->at = (uint8_t)MIN(at, 255u);
    key->band = (uint8_t)band;
    return 1;
}

static int by_order(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void sort_order(uint64_t *order, size_t count) {
    if (count > 2 * WORD) { qsort(order, count, sizeof *order, by_order); return; }
    for (size_t i = 1; i < count; i++) {
        uint64_t one = order[i];
        size_t j = i;
        for (; j && order[j - 1] > one; j--) order[j] = order[j - 1];
        order[j] = one;
    }
}

static int by_key(const void *a, const void *b) {
    const Key *x = a, *y = b;
    if (x->band != y->band) return x->band < y->band ? -1 : 1;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return (x->slack > y->slack) - (x->slack < y->slack);
}

/* A text that says the same over and over makes the same tuples over and over: one each will do. */
static void merge(Keys *keys) {
    size_t kept = 0;
    qsort(keys->items, keys->count, sizeof *keys->items, by_key);
    for (size_t i = 0; i < keys->count; i++) {
        Key *last = keys->items + kept - 1, *key = keys->items + i;
        if (kept && last->hash == key->hash && last->band == key->band) last->at = 255; /* stands in several places */
        else keys->items[kept++] = *key;
    }
    keys->count = kept;
}

static int keys_of(const Index *ix, Probe *p, const uint32_t *ids, uint32_t m, Keys *keys) {
    keys->count = 0;
    if (!GROW(p->order, p->order_room, m + 1)) return 0;
    uint64_t *order = p->order;
    uint32_t repeats = 0;
    for (uint32_t i = 0; i < m; i++) order[i] = (uint64_t)ix->key[ids[i]] << 32 | i;
    sort_order(order, m);
    for (uint32_t i = 1; i < m; i++) repeats += order[i] >> 32 == order[i - 1] >> 32;
    for (uint32_t b = 0; b < ix->band_count; b++) {
        const Band *band = ix->bands + b;
        uint32_t low, high;
        if (!m || !partners(ix, band, m, &low, &high)) continue;
        uint32_t most = m - need_of(ix, m, low); /* unmatched tokens at most */
        for (uint32_t i = 0; i <= most; i++) {
            uint32_t x = (uint32_t)order[i];
            uint64_t rarest = ids[x];
            uint32_t size = MIN(ix->size[rarest], band->tuple);
            if (size == 1) {
                if (!push(keys, rarest + 1, i, x, b)) return 0;
                continue;
            }
            for (uint32_t j = i + 1; j <= most + 1 && j < m; j++) {
                uint32_t y = (uint32_t)order[j];
                uint64_t pair = x < y ? mix(rarest + 1) + ids[y] : mix(ids[y] + (1ull << 40)) + rarest;
                if (size == 2) {
                    if (!push(keys, pair, j - 1, x, b)) return 0;
                    continue;
                }
                for (uint32_t k = j + 1; k <= most + 2 && k < m; k++) {
                    uint32_t z = (uint32_t)order[k];
                    uint64_t place = (z > x) + (z > y); /* before, between or after the pair */
                    if (!push(keys, mix(pair + (place << 50)) + ids[z], k - 2, x, b)) return 0;
                }
            }
        }
    }
    if (repeats > 3 && keys->count > 64) merge(keys);
    return 1;
}

/* ---- postings */

static Slot *slot_of(const Index *ix, uint32_t hash) {
    size_t at = (size_t)(((uint64_t)hash * ix->slot_cap) >> 32);
    while (ix->slots[at].hash && (ix->slots[at].hash & ~1u) != hash)
        if (++at == ix->slot_cap) at = 0;
    return ix->slots + at;
}

static void prefetch(const Index *ix, const Keys *keys) {
    for (size_t i = 0; i < keys->count; i++)
        PREFETCH(ix->slots + (size_t)(((uint64_t)keys->items[i].hash * ix->slot_cap) >> 32));
}

static int slots_resize(Index *ix, size_t cap) {
    Slot *old = ix->slots;
    size_t old_cap = ix->slot_cap;
    Slot *fresh = calloc(cap, sizeof *fresh);
    if (!fresh) return 0;
    ix->slots = fresh;
    ix->slot_cap = cap;
    for (size_t i = 0; i < old_cap; i++)
        if (old[i].hash) *slot_of(ix, old[i].hash & ~1u) = old[i];
    free(old);
    return 1;
}

/* Blocks of entries hold 2, 3, 4, 6, 8, 12, 16 ... of them. */
static int is_block(uint32_t size) {
    uint32_t rest = size % 3 ? size : size / 3;
    return !(rest & (rest - 1));
}

static uint32_t next_block(uint32_t size) { return size & (size - 1) ? size / 3 * 4 : size + size / 2; }

static uint32_t *spare_of(Index *ix, uint32_t size) {
    return ix->spare + 2 * (63 - (uint32_t)__builtin_clzll(size)) + !!(size & (size - 1));
}

static int64_t entries_new(Index *ix, uint32_t size) {
    uint32_t *spare = spare_of(ix, size);
    size_t at = *spare;
    if (at != UINT32_MAX) {
        *spare = ix->entries[at].text;
        return (int64_t)at;
    }
    at = ix->entry_count;
    if (at + size >= UINT32_MAX || !GROW(ix->entries, ix->entry_room, at + size)) return -1;
    ix->entry_count += size;
    return (int64_t)at;
}

static int append(Index *ix, uint32_t hash, Entry entry) {
    Slot *slot = slot_of(ix, hash);
    if (!slot->hash) {
        slot->hash = hash;
        memcpy(&slot->first, &entry, sizeof entry);
        ix->slot_used++;
        return 1;
    }
    if (!(slot->hash & 1)) {
        Entry alone;
        memcpy(&alone, &slot->first, sizeof alone);
        int64_t at = entries_new(ix, 2);
        if (at < 0) return 0;
        ix->entries[at] = alone;
        ix->entries[at + 1] = entry;
        slot->hash |= 1;
        slot->first = (uint32_t)at;
        slot->second = 2;
        return 1;
    }
    uint32_t count = slot->second;
    if (is_block(count)) { /* full */
        int64_t at = entries_new(ix, next_block(count));
        if (at < 0) return 0;
        memcpy(ix->entries + at, ix->entries + slot->first, count * sizeof(Entry));
        ix->entries[slot->first].text = *spare_of(ix, count);
        *spare_of(ix, count) = slot->first;
        slot->first = (uint32_t)at;
    }
    ix->entries[slot->first + slot->second++] = entry;
    return 1;
}

static int file(Index *ix, uint32_t text, uint32_t m, const Keys *keys) {
    size_t wanted = (ix->slot_used + keys->count) * 5 / 4 + 64;
    if (wanted > ix->slot_cap && !slots_resize(ix, wanted + wanted / 2)) return 0;
    for (size_t i = 0; i < keys->count; i++) {
        Key key = keys->items[i];
        uint32_t bit = (key.hash >> 2) % FRESH_BITS; /* the lowest two are taken */
        ix->fresh[bit / 64] |= 1ull << (bit % 64);
        Entry entry = {text, (uint16_t)MIN(m, CLAMP16), key.slack, key.at};
        if (!append(ix, key.hash, entry)) return 0;
    }
    return 1;
}

static uint32_t length_of(const Index *ix, uint32_t text) { return (uint32_t)(ix->start[text + 1] - ix->start[text]); }

/* Rank tokens by how rare they are now and file every text anew: each time the pool has doubled. */
static int refresh(Index *ix) {
    size_t words = ix->word_count;
    uint64_t *ranked = calloc(words + 1, sizeof *ranked);
    if (!ranked) return 0;
    for (size_t i = 0; i < words; i++) ranked[i] = i;
    for (size_t i = 0; i < ix->token_count; i++) ranked[ix->tokens[i]] += 1ull << 32;
    qsort(ranked, words, sizeof *ranked, by_order);
    for (size_t i = 0; i < words; i++) {
        uint32_t id = (uint32_t)ranked[i];
        uint64_t count = ranked[i] >> 32;
        ix->key[id] = RANKED | (uint32_t)i;
        ix->size[id] = count <= SINGLE ? 1 : count * count <= (uint64_t)PAIR * ix->text_count ? 2 : 3;
    }
    free(ranked);
    /* Room for twice as much, so that nothing has to move before the next refresh; pages not yet used cost nothing. */
    size_t cap = ix->slot_used * 2 * 5 / 4 + 1024, entries = 2 * ix->entry_count;
    free(ix->slots);
    free(ix->entries);
    ix->slots = NULL;
    ix->entries = NULL;
    ix->slot_cap = ix->slot_used = ix->entry_count = ix->entry_room = 0;
    if (!GROW(ix->entries, ix->entry_room, entries) || !GROW(ix->tokens, ix->token_room, 2 * ix->token_count) ||
        !GROW(ix->start, ix->start_texts, 2 * ix->text_count) || !GROW(ix->signature, ix->signature_room, 2 * ix->text_count))
        return 0;
    memset(ix->spare, 0xff, sizeof ix->spare);
    if (!slots_resize(ix, cap)) return 0;
    Keys *keys = ix->own.keys;
    for (size_t i = 0; i <= ix->text_count; i++) { /* one text ahead, so that memory is there when it is wanted */
        if (i < ix->text_count) {
            if (!keys_of(ix, &ix->own, ix->tokens + ix->start[i], length_of(ix, (uint32_t)i), keys + i % 2)) return 0;
            prefetch(ix, keys + i % 2);
        }
        if (i && !file(ix, (uint32_t)i - 1, length_of(ix, (uint32_t)i - 1), keys + (i - 1) % 2)) return 0;
    }
    while (ix->refresh_at <= ix->text_count) ix->refresh_at *= 2;
    return 1;
}

/* ---- LCS, bit by bit (Hyyro 2004): a bit of `state` falls where the asking text gains a match */

static int masks_of(const Index *ix, Probe *p, const uint32_t *ids, uint32_t m) {
    size_t before = p->where_room;
    if (!GROW(p->where, p->where_room, ix->word_count)) return 0;
    if (p->where_room > before) memset(p->where + before, 0, (p->where_room - before) * sizeof *p->where);
    p->words = (m + WORD - 1) / WORD;
    if (!GROW(p->masks, p->masks_room, (size_t)(m + 1) * (p->words + 1)) || !GROW(p->state, p->state_room, p->words + 1)) return 0;
    uint32_t rows = 0;
    for (uint32_t i = 0; i < m; i++) {
        uint32_t *row = p->where + ids[i];
        if (!*row) {
            *row = ++rows;
            memset(p->masks + (size_t)*row * p->words, 0, p->words * sizeof *p->masks);
        }
        p->masks[(size_t)*row * p->words + i / WORD] |= 1ull << (i % WORD);
    }
    memset(p->masks, 0, p->words * sizeof *p->masks);
    return 1;
}

static void masks_clear(Probe *p, const uint32_t *ids, uint32_t m) {
    for (uint32_t i = 0; i < m; i++) p->where[ids[i]] = 0;
}

static uint32_t lcs(Probe *p, uint32_t m, const uint32_t *other, uint32_t n, uint32_t least) {
    if (p->words <= 1) {
        uint64_t state = ~0ull, full = m >= WORD ? ~0ull : (1ull << m) - 1;
        for (uint32_t i = 0; i < n; i++) {
            uint64_t hit = state & p->masks[p->where[other[i]]];
            state = (state + hit) | (state - hit);
        }
        return BITS(~state & full);
    }
    uint32_t shared = 0;
    for (uint32_t i = 0; i < n; i++) shared += p->where[other[i]] != 0;
    if (shared < least) return 0;
    memset(p->state, 0xff, p->words * sizeof *p->state);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = p->where[other[i]];
        if (!row) continue;
        const uint64_t *mask = p->masks + (size_t)row * p->words;
        uint64_t carry = 0;
        for (uint32_t w = 0; w < p->words; w++) {
            uint64_t state = p->state[w], hit = state & mask[w], sum = state + hit, carried = sum < state;
            sum += carry;
            carry = carried | (sum < carry);
            p->state[w] = sum | (state - hit);
        }
    }
    uint32_t total = 0;
    for (uint32_t w = 0; w < p->words; w++) {
        uint64_t full = w + 1 < p->words || m % WORD == 0 ? ~0ull : (1ull << (m % WORD)) - 1;
        total += BITS(~p->state[w] & full);
    }
    return total;
}

/* ---- asking */

static uint64_t signature(const uint32_t *ids, uint32_t m) {
    uint64_t bits = 0;
    for (uint32_t i = 0; i < m; i++) bits |= 1ull << ((ids[i] * 0x9e3779b1u) >> 26);
    return bits;
}

static void settle_found(const Index *ix, Probe *p, uint64_t mine, uint32_t m, Best *best) {
    size_t passed = 0;
    for (size_t i = 0; i < p->found_count; i++) {
        uint32_t text = p->found[i];
        uint64_t other = ix->signature[text];
        uint32_t n = length_of(ix, text), least = need_of(ix, m, n);
        if (BITS(mine & ~other) + least > m || BITS(other & ~mine) + least > n || p->stamp[text] == p->tick) continue;
        p->stamp[text] = p->tick;
        PREFETCH(ix->tokens + ix->start[text]);
        p->found[passed++] = text;
    }
    for (size_t i = 0; i < passed; i++) {
        uint32_t text = p->found[i], n = length_of(ix, text), least = need_of(ix, m, n);
        uint32_t common = lcs(p, m, ix->tokens + ix->start[text], n, least);
        if (common < least) continue;
        double score = f_measure(common, m, n);
        if (score > best->score || (score == best->score && text < best->text)) { best->score = score; best->text = text; }
    }
    p->found_count = 0;
}

/* Whom a text of m tokens meets in a band, and the need with each: of a short band in `least`, IMPOSSIBLE for other lengths; of
 * the long one in `row`, from length `low` on. 0 without memory. */
typedef struct { uint32_t low, high; uint8_t least[WORD + 1]; } Reach;

static int reach_of(const Index *ix, Probe *p, uint32_t m, const Band *band, Reach *reach) {
    reach->low = 1;
    reach->high = 0; /* nobody */
    uint32_t low, high;
    if (!partners(ix, band, m, &low, &high) || low > ix->longest) return 1;
    reach->low = low;
    reach->high = MIN(high, ix->longest);
    if (band->high <= WORD) {
        for (uint32_t n = 0; n <= WORD; n++) {
            uint32_t least = n >= reach->low && n <= reach->high ? ix->need[m][n] : 0;
            reach->least[n] = (uint8_t)(least ? least : IMPOSSIBLE);
        }
        return 1;
    }
    if (!GROW(p->row, p->row_room, (size_t)(reach->high - low) + 1)) return 0;
    uint32_t least = novelty_need(ix->threshold, m, low);
    for (uint32_t n = low; ; n++) { /* need only grows with n */
        least = least ? need_from(ix->threshold, m, n, least) : 0;
        p->row[n - low] = least;
        if (n == reach->high) return 1;
    }
}

/* Copy the texts of a list that may be near; without branches, which nobody could foretell. */
static void pick_short(Probe *p, const Reach *reach, Key key, uint32_t m, const Entry *entry, const Entry *end) {
    uint32_t *found = p->found, count = (uint32_t)p->found_count, slack = key.slack, at = key.at;
    for (; entry < end; entry++) {
        uint32_t n = entry->length, least = reach->least[n];
        uint32_t before = MIN(at, (uint32_t)entry->at), after = MIN(m - at, n - entry->at);
        /* the tokens before and after the rarest one have to be enough for an alignment through it */
        uint32_t fits = (slack + least <= m) & (entry->slack + least <= n) & (before + after >= least);
        found[count] = entry->text;
        count += fits;
    }
    p->found_count = count;
}

static void pick_long(const Index *ix, Probe *p, const Reach *reach, Key key, uint32_t m, const Entry *entry, const Entry *end) {
    for (; entry < end; entry++) {
        uint32_t n = entry->length == CLAMP16 ? length_of(ix, entry->text) : entry->length;
        if (n < reach->low || n > reach->high) continue;
        uint32_t least = p->row[n - reach->low];
        if (least && key.slack + least <= m && entry->slack + least <= n) p->found[p->found_count++] = entry->text;
    }
}

static int scan(const Index *ix, Probe *p, const Keys *keys, uint32_t m, uint64_t mine, uint32_t from, Best *best) {
    uint32_t band_at = UINT32_MAX;
    Reach reach = {1, 0, {0}};
    for (size_t i = 0; i < keys->count; i++) {
        Key key = keys->items[i];
        const Band *band = ix->bands + key.band;
        if (key.band != band_at && !reach_of(ix, p, m, band, &reach)) return 0; /* keys come band by band */
        band_at = key.band;
        if (reach.low > reach.high) continue;
        uint32_t bit = (key.hash >> 2) % FRESH_BITS;
        if (from && !(ix->fresh[bit / 64] >> (bit % 64) & 1)) continue;
        if (i + 3 < keys->count) { /* the slots are on their way to the cache; send for the lists they point to */
            const Slot *ahead = slot_of(ix, keys->items[i + 3].hash);
            if (ahead->hash & 1) PREFETCH(ix->entries + ahead->first + ahead->second - 1);
        }
        const Slot *slot = slot_of(ix, key.hash);
        if (!slot->hash) continue;
        Entry alone;
        const Entry *first = &alone, *end = first + 1;
        if (slot->hash & 1) {
            first = ix->entries + slot->first;
            end = first + slot->second;
        } else memcpy(&alone, &slot->first, sizeof alone);
        if (from) { /* lists are in order of admission */
            const Entry *late = end;
            while (late > first && late[-1].text >= from) late--;
            first = late;
        }
        size_t before = p->found_count;
        if (!GROW(p->found, p->found_room, before + (size_t)(end - first))) return 0;
        if (band->high <= WORD) pick_short(p, &reach, key, m, first, end);
        else pick_long(ix, p, &reach, key, m, first, end);
        for (size_t j = before; j < p->found_count; j++) {
            PREFETCH(ix->signature + p->found[j]);
            PREFETCH(ix->start + p->found[j]);
        }
        if (p->found_count > MANY) settle_found(ix, p, mine, m, best);
    }
    return 1;
}

static int ask(const Index *ix, Probe *p, const uint32_t *ids, uint32_t m, const Keys *keys, uint32_t from, Best *best) {
    size_t before = p->stamp_room;
    if (!GROW(p->stamp, p->stamp_room, ix->text_count + 1)) return 0;
    if (p->stamp_room > before) memset(p->stamp + before, 0, (p->stamp_room - before) * sizeof *p->stamp);
    if (!++p->tick) { memset(p->stamp, 0, p->stamp_room * sizeof *p->stamp); p->tick = 1; }
    if (!masks_of(ix, p, ids, m)) return 0;
    p->found_count = 0;
    uint64_t mine = signature(ids, m);
    int well = scan(ix, p, keys, m, mine, from, best);
    if (well) settle_found(ix, p, mine, m, best);
    masks_clear(p, ids, m);
    return well;
}

/* ---- what Python calls; every int is 0 on success and -1 without memory (the index is then of no more use) */

static void probe_free(Probe *p) {
    free(p->where); free(p->masks); free(p->state); free(p->stamp); free(p->found);
    free(p->row); free(p->order); free(p->keys[0].items); free(p->keys[1].items);
}

void novelty_free(Index *ix) {
    if (!ix) return;
    free(ix->words_table); free(ix->word_hash); free(ix->word_start); free(ix->letters); free(ix->key); free(ix->size);
    free(ix->tokens); free(ix->start); free(ix->signature); free(ix->block); free(ix->block_start); free(ix->lower);
    free(ix->slots); free(ix->entries);
    probe_free(&ix->own);
    free(ix);
}

Index *novelty_new(double threshold) {
    Index *ix = calloc(1, sizeof *ix);
    if (!ix) return NULL;
    ix->threshold = threshold;
    for (uint32_t m = 1; m <= WORD; m++)
        for (uint32_t n = 1; n <= WORD; n++) ix->need[m][n] = novelty_need(threshold, m, n);
    /* Near texts match `tuple` tokens at least: with fewer, 2 * (tuple - 1) / (m + n) would have to pass the threshold. */
    uint32_t one = 2 / threshold + 1 < WORD ? (uint32_t)(2 / threshold) + 1 : WORD;
    uint32_t two = 4 / threshold + 1 < WORD ? (uint32_t)(4 / threshold) + 1 : WORD;
    Band bands[BANDS] = {{1, one, 1}, {one + 1, two, 2}, {two + 1, TRIPLES, 3}, {TRIPLES + 1, WORD, 2}, {WORD + 1, UINT32_MAX, 1}};
    if (two > TRIPLES) bands[3].low = two + 1;
    for (int i = 0; i < BANDS; i++)
        if (bands[i].low <= bands[i].high) ix->bands[ix->band_count++] = bands[i];
    ix->refresh_at = FIRST_REFRESH;
    memset(ix->spare, 0xff, sizeof ix->spare);
    if (!GROW(ix->start, ix->start_texts, 64) || !GROW(ix->block_start, ix->block_start_room, 64) ||
        !slots_resize(ix, 1024)) {
        novelty_free(ix);
        return NULL;
    }
    ix->start[0] = ix->block_start[0] = 0;
    return ix;
}

Probe *novelty_probe_new(void) { return calloc(1, sizeof(Probe)); }
void novelty_probe_free(Probe *p) { if (p) { probe_free(p); free(p); } }
uint64_t novelty_count(const Index *ix) { return ix->text_count; }

/* Take a block of texts in hand: bytes back to back, where each begins (and the last ends), and how each is cut. */
int novelty_block(Index *ix, const unsigned char *bytes, const uint64_t *begins, const unsigned char *cut, uint64_t count) {
    ix->block_count = ix->block_tokens = 0;
    if (!GROW(ix->block_start, ix->block_start_room, count + 1)) return -1;
    ix->block_start[0] = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (!encode(ix, bytes + begins[i], begins[i + 1] - begins[i], cut[i])) return -1;
        ix->block_start[++ix->block_count] = ix->block_tokens;
    }
    return 0;
}

static int insert(Index *ix, const uint32_t *ids, uint32_t m, const Keys *keys) {
    size_t text = ix->text_count;
    if (text >= UINT32_MAX - 1 || !GROW(ix->tokens, ix->token_room, ix->token_count + m) ||
        !GROW(ix->start, ix->start_texts, text + 2) || !GROW(ix->signature, ix->signature_room, text + 1))
        return 0;
    if (m) memcpy(ix->tokens + ix->token_count, ids, m * sizeof *ids);
    ix->token_count += m;
    ix->start[text + 1] = ix->token_count;
    ix->signature[text] = signature(ids, m);
    if (m > ix->longest) ix->longest = m;
    ix->text_count++;
    return file(ix, (uint32_t)text, m, keys);
}

static const uint32_t *block_text(const Index *ix, uint64_t i, uint32_t *m) {
    *m = (uint32_t)(ix->block_start[i + 1] - ix->block_start[i]);
    return ix->block + ix->block_start[i];
}

/* Ask for texts first..last of the block: the best F above the threshold and its text, or -1. Reads the index only, so
 * that several threads may ask at once, each with a probe of its own (NULL: the index's). */
int novelty_ask(Index *ix, Probe *p, uint64_t first, uint64_t last, double *scores, int64_t *texts) {
    uint32_t m, ahead;
    if (!p) p = &ix->own;
    for (uint64_t i = first; i <= last; i++) {
        if (i < last) {
            const uint32_t *next = block_text(ix, i, &ahead);
            if (!keys_of(ix, p, next, ahead, p->keys + i % 2)) return -1;
            prefetch(ix, p->keys + i % 2);
        }
        if (i == first) continue;
        const uint32_t *ids = block_text(ix, i - 1, &m);
        Best best = {0.0, -1};
        if (!ask(ix, p, ids, m, p->keys + (i - 1) % 2, 0, &best)) return -1;
        scores[i - 1] = best.score;
        texts[i - 1] = best.text;
    }
    return 0;
}

static const Keys none;

/* Take the texts of the block in, novel or not. */
int novelty_take(Index *ix) {
    uint32_t m;
    int later = ix->text_count + ix->block_count >= ix->refresh_at; /* everything is filed anew then */
    for (uint64_t i = 0; i < ix->block_count; i++) {
        const uint32_t *ids = block_text(ix, i, &m);
        if (!later && !keys_of(ix, &ix->own, ids, m, ix->own.keys)) return -1;
        if (!insert(ix, ids, m, later ? &none : ix->own.keys)) return -1;
    }
    return !later || refresh(ix) ? 0 : -1;
}

/* Make the block of saved texts: the numbers of their tokens in a saved vocabulary, whose words come back to back. */
int novelty_restore(Index *ix, const unsigned char *letters, const int64_t *words, uint64_t word_count,
                    const uint32_t *tokens, const int64_t *begins, uint64_t count) {
    uint32_t *number = malloc((word_count + 1) * sizeof *number);
    int well = number && GROW(ix->block_start, ix->block_start_room, count + 1) &&
               GROW(ix->block, ix->block_room, (size_t)(begins[count] - begins[0]));
    for (uint64_t i = 0; well && i < word_count; i++) {
        int64_t id = word(ix, letters + words[i], (size_t)(words[i + 1] - words[i]));
        if (id < 0) well = 0;
        else number[i] = (uint32_t)id;
    }
    if (well) {
        ix->block_count = count;
        ix->block_tokens = (size_t)(begins[count] - begins[0]);
        for (uint64_t i = 0; i <= count; i++) ix->block_start[i] = (uint64_t)(begins[i] - begins[0]);
        for (size_t i = 0; i < ix->block_tokens; i++) ix->block[i] = number[tokens[begins[0] + (int64_t)i]];
    }
    free(number);
    return well ? 0 : -1;
}

/* Take the texts of the block in, in order, each only if nothing before it is near. Texts of the index before `from` are
 * not asked about here: `scores` and `texts` already hold what novelty_ask said of them. */
int novelty_admit(Index *ix, uint64_t from, double *scores, int64_t *texts) {
    uint32_t m, ahead;
    Probe *p = &ix->own;
    if (from) memset(ix->fresh, 0, sizeof ix->fresh);
    for (uint64_t i = 0; i <= ix->block_count; i++) {
        if (i < ix->block_count) {
            const uint32_t *next = block_text(ix, i, &ahead);
            if (!keys_of(ix, p, next, ahead, p->keys + i % 2)) return -1;
            prefetch(ix, p->keys + i % 2);
        }
        if (!i) continue;
        const uint32_t *ids = block_text(ix, i - 1, &m);
        const Keys *keys = p->keys + (i - 1) % 2;
        Best best = {0.0, -1};
        if (from) { best.score = scores[i - 1]; best.text = texts[i - 1]; }
        if (!ask(ix, p, ids, m, keys, (uint32_t)from, &best)) return -1;
        scores[i - 1] = best.score;
        texts[i - 1] = best.text;
        if (best.text >= 0) continue;
        if (!insert(ix, ids, m, keys)) return -1;
        if (ix->text_count >= ix->refresh_at) {
            if (!refresh(ix)) return -1;
            if (i < ix->block_count) { /* its keys were those of the old ranks */
                const uint32_t *next = block_text(ix, i, &ahead);
                if (!keys_of(ix, p, next, ahead, p->keys + i % 2)) return -1;
            }
        }
    }
    return 0;
}

/* F of block text `i` with every text of the index. */
int novelty_scores(Index *ix, uint64_t i, double *scores) {
    uint32_t m;
    const uint32_t *ids = block_text(ix, i, &m);
    if (!masks_of(ix, &ix->own, ids, m)) return -1;
    for (size_t text = 0; text < ix->text_count; text++) {
        uint32_t n = length_of(ix, (uint32_t)text);
        scores[text] = m && n ? f_measure(lcs(&ix->own, m, ix->tokens + ix->start[text], n, 1), m, n) : 0.0;
    }
    masks_clear(&ix->own, ids, m);
    return 0;
}

/* What is to be saved: token numbers back to back, where each text begins, letters back to back, where each word begins. */
void novelty_contents(const Index *ix, const uint32_t **tokens, const uint64_t **start, const unsigned char **letters,
                      const uint64_t **word_start, uint64_t *word_count) {
    *tokens = ix->tokens; *start = ix->start; *letters = ix->letters; *word_start = ix->word_start;
    *word_count = ix->word_count;
}
