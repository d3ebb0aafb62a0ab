"""BLAKE3-256 of short inputs, after the paper (O'Connor, Aumasson, Neves, Wilcox-O'Hearn, 2020), section 2.

The checker must not share code with what it checks, and Python's standard library has no BLAKE3.
"""

import struct

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
LANES = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
         (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
MASK = 0xFFFFFFFF


def rotate(word, by):
    return (word >> by | word << (32 - by)) & MASK


def compress(chaining, words, counter, length, flags):
    v = [*chaining, *IV[:4], counter & MASK, counter >> 32, length, flags]
    for round_number in range(7):
        for lane, (a, b, c, d) in enumerate(LANES):
            for word, by in ((words[2 * lane], (16, 12)), (words[2 * lane + 1], (8, 7))):
                v[a] = (v[a] + v[b] + word) & MASK
                v[d] = rotate(v[d] ^ v[a], by[0])
                v[c] = (v[c] + v[d]) & MASK
                v[b] = rotate(v[b] ^ v[c], by[1])
        words = [words[i] for i in PERMUTATION]
    return [v[i] ^ v[i + 8] for i in range(8)]


def blocks_of(chunk):
    for start in range(0, max(len(chunk), 1), 64):
        block = chunk[start:start + 64]
        yield list(struct.unpack("<16I", block.ljust(64, b"\0"))), len(block)


def chunk_value(chunk, counter, root):
    chaining, blocks = list(IV), list(blocks_of(chunk))
    for i, (words, length) in enumerate(blocks):
        last = i == len(blocks) - 1
        flags = (CHUNK_START if i == 0 else 0) | ((CHUNK_END | root) if last else 0)
        chaining = compress(chaining, words, counter, length, flags)
    return chaining


def subtree(data, counter, root):
    if len(data) <= 1024:
        return chunk_value(data, counter, root)
    # The left side is the largest power of two of whole chunks that leaves something for the right.
    left = 1024
    while left * 2 < len(data):
        left *= 2
    words = subtree(data[:left], counter, 0) + subtree(data[left:], counter + left // 1024, 0)
    return compress(list(IV), words, 0, 64, PARENT | root)


def hexdigest(data):
    return struct.pack("<8I", *subtree(data, 0, ROOT)).hex()


assert hexdigest(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
