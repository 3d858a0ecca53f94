// A network of one link: one hidden layer on invariants of the link, whose outputs are scalars.
#pragma once
#include "elementary.hpp"

namespace {

constexpr int MOST_OUTPUTS = 8, INPUTS = 2;

enum Activation { TANH, ISRU };  // tanh x, x / sqrt(1 + x^2)

// out = weight f(first in + offset) + bias; first [hidden][INPUTS], weight [outputs][hidden].
struct Network {
    int hidden, outputs, activation;
    const double *first, *offset, *weight, *bias;

    // out += weight f(first in + offset) of hidden units from `start`, at most `count` of them.
    template <int F, bool WHOLE>
    inline __attribute__((always_inline)) void add_group(const vec* in, vec* out, int start,
                                                         int count) const {
        vec y[GROUP] = {};
#pragma GCC unroll 4
        for (int h = 0; h < GROUP; h++)
            if (WHOLE || h < count) {
                const double* row = this->first + (start + h) * INPUTS;
                y[h] = splat(offset[start + h]) + (real)row[0] * in[0];
                for (int i = 1; i < INPUTS; i++) y[h] += (real)row[i] * in[i];
            }
        if (F == TANH) tanh_group(y);
        else isru_group(y);
        for (int j = 0; j < outputs; j++) {
            const double* row = weight + j * hidden + start;
#pragma GCC unroll 4
            for (int h = 0; h < GROUP; h++)
                if (WHOLE || h < count) out[j] += (real)row[h] * y[h];
        }
    }

    template <int F>
    void add_all(const vec* in, vec* out) const {
        int start = 0;
        for (; start + GROUP <= hidden; start += GROUP) add_group<F, true>(in, out, start, GROUP);
        if (start < hidden) add_group<F, false>(in, out, start, hidden - start);
    }

    void apply(const vec* in, vec* out) const {
        for (int j = 0; j < outputs; j++) out[j] = splat(bias[j]);
        if (activation == TANH) add_all<TANH>(in, out);
        else add_all<ISRU>(in, out);
    }
};

}  // namespace
