// Rows sorted by small numbers.
#pragma once

#include "simd.hpp"

namespace knotwork::KNOTWORK_SET {

// Sorts rows by `key(row)`, from 0 to count - 1; rows of one key stay in their order.  `before`, of
// count + 1, says how many rows have smaller keys.
template <class Key>
INLINE void sort_rows(int64_t rows, int64_t count, Key key, int32_t* order, int32_t* before) {
    std::memset(before, 0, size_t(count + 1) * sizeof(int32_t));
    for (int64_t n = 0; n < rows; n++) before[key(n) + 1]++;
    for (int64_t k = 0; k < count; k++) before[k + 1] += before[k];
    for (int64_t n = 0; n < rows; n++) order[before[key(n)]++] = int32_t(n);
    // Every key now says where the next begins.
    std::memmove(before + 1, before, size_t(count) * sizeof(int32_t));
    before[0] = 0;
}

}  // namespace knotwork::KNOTWORK_SET
