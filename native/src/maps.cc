// The four maps for one task, compiled once for each instruction set (STN_ARCH names it).
//
// Points are handled in blocks. For each axis of a block, a row of taps.h writes the taps of all
// points: index, weight and slope (the weight's derivative). Then a map multiplies them over the
// axes. A tap is (lead, last): T^(N-1) combinations of the leading axes, T along the last one.
// With few channels the compiler vectorizes over points, with many over channels.
//
// Three rules hold in all of them: a pixel of weight 0 is not read, even if it is not finite; a NaN
// point samples NaN and has no derivative; and every sum has one order, whoever computes it.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "call.h"

#define STN_INLINE inline __attribute__((always_inline))

namespace stn::STN_ARCH {
namespace {

constexpr int kBlock = 128;    // points; what a block needs fits the first cache
constexpr int kMaxTaps = 6;    // along an axis: Lanczos-3
constexpr int kFewChannels = 4;

template <class F>
struct Axis {
  alignas(64) int32_t index[kMaxTaps][kBlock];
  alignas(64) F weight[kMaxTaps][kBlock];
  alignas(64) F slope[kMaxTaps][kBlock];
  alignas(64) int32_t nan[kBlock];
};

// --- rows of taps.h ------------------------------------------------------------------------------

template <class F>
struct Row {
  int taps;
  void (*values)(const F* x, int count, int32_t size, F coefficient, Axis<F>& out);
  void (*slopes)(const F* x, int count, int32_t size, F coefficient, Axis<F>& out);
};

template <class F>
using Rows = std::unordered_map<std::string_view, Row<F>>;

template <class F>
const Rows<F>& rows();

template <class R, class F, bool kSlopes>
void fill(const F* __restrict x, int count, int32_t size, F coefficient, Axis<F>& __restrict out) {
#pragma omp simd
  for (int p = 0; p < count; ++p) R::template at<kSlopes>(x[p], size, coefficient, out, p);
}

template <class R, class F>
Row<F> row() {
  return {R::kTaps, fill<R, F, false>, fill<R, F, true>};
}

template <class F>
STN_INLINE F sign(F x) {
  return F(x > 0) - F(x < 0);
}

STN_INLINE int32_t remainder(int32_t a, int32_t b) { return a % b; }

// fmod, by operations that a compiler vectorizes: exact for integers b below 2^22 and |a| / b below
// 2^30, as the quotient and the product have no rounding in double.
STN_INLINE float remainder(float a, float b) {
  const double quotient = std::trunc(double(a) / double(b));
  const double rest = double(a) - quotient * double(b);
  return float(rest < 0 && a >= 0 ? rest + double(b) : rest);
}

STN_INLINE double remainder(double a, double b) { return std::fmod(a, b); }

#include "taps.h"

// --- a block of points ---------------------------------------------------------------------------

constexpr int power(int base, int exponent) {
  return exponent ? base * power(base, exponent - 1) : 1;
}

template <int kCount, class Body>
STN_INLINE void unroll(Body body) {
  [&]<int... k>(std::integer_sequence<int, k...>) {
    (body(std::integral_constant<int, k>()), ...);
  }(std::make_integer_sequence<int, kCount>());
}

template <int N, int T, class F>
struct Block {
  static constexpr int kLeads = power(T, N - 1);

  Axis<F> axes[N];  // in image order
  int32_t nan[kBlock];
  int count;

  // Tap of a leading axis in a combination.
  static constexpr int digit(int lead, int axis) {
    for (int k = axis; k < N - 2; ++k) lead /= T;
    return lead % T;
  }

  void load_axis(const Call<F>& call, const F* points, int axis, bool slopes) {
    alignas(64) F x[kBlock];
    const F* own = points + (N - 1 - axis);
    for (int p = 0; p < count; ++p) x[p] = own[p * N];
    const auto& row = *static_cast<const Row<F>*>(call.row);
    (slopes ? row.slopes : row.values)(x, count, call.shape[axis], call.coefficient, axes[axis]);
  }

  void merge_nan() {
    for (int p = 0; p < count; ++p) {
      nan[p] = axes[0].nan[p];
      unroll<N - 1>([&](auto k) { nan[p] |= axes[k + 1].nan[p]; });
    }
  }

  void load(const Call<F>& call, const F* points, int points_left, bool slopes) {
    count = std::min(points_left, kBlock);
    for (int k = 0; k < N; ++k) load_axis(call, points, k, slopes);
    merge_nan();
  }

  // The pixel at which a combination's row begins, and the product of its weights.
  STN_INLINE int32_t row_start(const int32_t* shape, int lead, int p) const {
    int32_t place = 0;
    unroll<N - 1>([&](auto k) {
      place = place * shape[k] + axes[k].index[digit(lead, k)][p];
    });
    return place * shape[N - 1];
  }

  // The product of a combination's weights, with the slope in place of the weight of `sloped`.
  STN_INLINE F factor(int lead, int p, int sloped = -1) const {
    F product = 1;
    unroll<N - 1>([&](auto k) {
      const auto& axis = axes[k];
      product *= (k == sloped ? axis.slope : axis.weight)[digit(lead, k)][p];
    });
    return product;
  }
};

template <class F>
STN_INLINE F weigh(F weight, F value) {
  return weight != 0 ? weight * value : F(0);
}

template <class F>
STN_INLINE bool is_finite(F x) {
  return std::abs(x) <= std::numeric_limits<F>::max();
}

// --- few channels: vectors over points -----------------------------------------------------------

// Calls body(lead) for every combination: unrolled in one loop over points if there are few, else
// a loop over points for each.
template <int kLeads, class Body>
STN_INLINE void for_points(int count, Body body) {
  if constexpr (kLeads <= 4) {
#pragma omp simd
    for (int p = 0; p < count; ++p) unroll<kLeads>([&](auto lead) { body(lead, p); });
  } else {
    for (int lead = 0; lead < kLeads; ++lead) {
#pragma omp simd
      for (int p = 0; p < count; ++p) body(lead, p);
    }
  }
}

template <int N, int T, int C, class F>
void read_few(const Call<F>& call, const F* __restrict image, const Block<N, T, F>& block,
              F* __restrict out) {
  using B = Block<N, T, F>;
  alignas(64) F sums[C][kBlock] = {};
  const auto& last = block.axes[N - 1];
  for_points<B::kLeads>(block.count, [&](auto lead, int p) {
    const int32_t start = block.row_start(call.shape, lead, p);
    const F factor = block.factor(lead, p);
    F row[C] = {};
    unroll<T>([&](auto t) {
      const int32_t place = (start + last.index[t][p]) * C;
      const F weight = last.weight[t][p];
      unroll<C>([&](auto c) { row[c] += weigh(weight, image[place + c]); });
    });
    unroll<C>([&](auto c) { sums[c][p] += weigh(factor, row[c]); });
  });
  const F nan = std::numeric_limits<F>::quiet_NaN();
  for (int p = 0; p < block.count; ++p) {
    unroll<C>([&](auto c) { out[p * C + c] = block.nan[p] ? nan : sums[c][p]; });
  }
}

template <int N, int T, int C, class F>
void vjp_few(const Call<F>& call, const F* __restrict image, const Block<N, T, F>& block,
             const F* __restrict values, F* __restrict out) {
  using B = Block<N, T, F>;
  alignas(64) F sums[N][kBlock] = {};
  const auto& last = block.axes[N - 1];
  for_points<B::kLeads>(block.count, [&](auto lead, int p) {
    const int32_t start = block.row_start(call.shape, lead, p);
    const F factor = block.factor(lead, p);
    F row = 0, slope = 0;  // sums along the last axis, by weights and by slopes
    unroll<T>([&](auto t) {
      const int32_t place = (start + last.index[t][p]) * C;
      F product = 0;
      unroll<C>([&](auto c) { product += values[p * C + c] * image[place + c]; });
      const F weight = last.weight[t][p];
      const bool counts = ((weight != 0) & (factor != 0)) | is_finite(product);
      product = counts ? product : F(0);
      row += weight * product;
      slope += last.slope[t][p] * product;
    });
    unroll<N - 1>([&](auto k) { sums[k][p] += block.factor(lead, p, k) * row; });
    sums[N - 1][p] += factor * slope;
  });
  for (int p = 0; p < block.count; ++p) {
    unroll<N>([&](auto k) { out[p * N + k] = block.nan[p] ? F(0) : sums[N - 1 - k][p]; });
  }
}

template <int N, int T, int C, bool kWhole, class F>
void splat_few(const Call<F>& call, F* __restrict image, const Block<N, T, F>& block,
               const F* __restrict values, int32_t begin, int32_t end) {
  using B = Block<N, T, F>;
  const auto& last = block.axes[N - 1];
  for (int p = 0; p < block.count; ++p) {
    if (block.nan[p]) continue;
    const auto add = [&](auto lead) {
      const int32_t first = block.axes[0].index[B::digit(lead, 0)][p];
      if (!kWhole && (first < begin || first >= end)) return;
      const int32_t start = block.row_start(call.shape, lead, p);
      const F factor = block.factor(lead, p);
      unroll<T>([&](auto t) {
        const F weight = factor * last.weight[t][p];
        F* pixel = image + (start + last.index[t][p]) * int64_t(C);
        unroll<C>([&](auto c) { pixel[c] += weigh(weight, values[p * C + c]); });
      });
    };
    if constexpr (B::kLeads <= 4) {
      unroll<B::kLeads>(add);
    } else {
      for (int lead = 0; lead < B::kLeads; ++lead) add(lead);
    }
  }
}

// --- many channels: vectors over channels --------------------------------------------------------

// The taps of one point: pixels, weights, and the slopes along each axis.
template <int N, int T, class F>
struct Taps {
  static constexpr int kMax = power(T, N);
  int size = 0;
  int32_t place[kMax];
  F weight[kMax];
  F slope[N][kMax];

  template <bool kSlopes>
  void load(const Call<F>& call, const Block<N, T, F>& block, int p) {
    using B = Block<N, T, F>;
    const auto& last = block.axes[N - 1];
    size = 0;
    for (int lead = 0; lead < B::kLeads; ++lead) {
      const int32_t start = block.row_start(call.shape, lead, p);
      const F factor = block.factor(lead, p);
      F slopes[N];
      if constexpr (kSlopes) {
        unroll<N - 1>([&](auto k) { slopes[k] = block.factor(lead, p, k); });
      }
      for (int t = 0; t < T; ++t) {
        const F own = factor * last.weight[t][p];
        if (!kSlopes && own == 0) continue;  // not read
        place[size] = start + last.index[t][p];
        weight[size] = own;
        if constexpr (kSlopes) {
          unroll<N - 1>([&](auto k) { slope[k][size] = slopes[k] * last.weight[t][p]; });
          slope[N - 1][size] = factor * last.slope[t][p];
        }
        ++size;
      }
    }
  }
};

// Calls body(first tap, std::integral_constant: how many) for groups of four, two and one.
template <class Body>
STN_INLINE void for_groups(int size, Body body) {
  int k = 0;
  for (; k + 4 <= size; k += 4) body(k, std::integral_constant<int, 4>());
  if (k + 2 <= size) body(k, std::integral_constant<int, 2>()), k += 2;
  if (k < size) body(k, std::integral_constant<int, 1>());
}

template <int N, int T, class F>
void read_many(const Call<F>& call, const F* __restrict image, const Block<N, T, F>& block,
               F* __restrict out) {
  const int64_t channels = call.channels;
  Taps<N, T, F> taps;
  for (int p = 0; p < block.count; ++p, out += channels) {
    if (block.nan[p]) {
      std::fill_n(out, channels, std::numeric_limits<F>::quiet_NaN());
      continue;
    }
    taps.template load<false>(call, block, p);
    if (!taps.size) std::fill_n(out, channels, F(0));
    for_groups(taps.size, [&](int k, auto width) {
      const F* pixel[width];
      F weight[width];
      unroll<width>([&](auto j) {
        pixel[j] = image + taps.place[k + j] * channels;
        weight[j] = taps.weight[k + j];
      });
      const bool is_first = k == 0;
      if (is_first) {
#pragma omp simd
        for (int64_t c = 0; c < channels; ++c) {
          F sum = weight[0] * pixel[0][c];
          unroll<width - 1>([&](auto j) { sum += weight[j + 1] * pixel[j + 1][c]; });
          out[c] = sum;
        }
      } else {
#pragma omp simd
        for (int64_t c = 0; c < channels; ++c) {
          F sum = out[c];
          unroll<width>([&](auto j) { sum += weight[j] * pixel[j][c]; });
          out[c] = sum;
        }
      }
    });
  }
}

template <int N, int T, class F>
void jvp_many(const Call<F>& call, const F* __restrict image, const Block<N, T, F>& block,
              const F* __restrict tangent, F* __restrict out) {
  const int64_t channels = call.channels;
  Taps<N, T, F> taps;
  for (int p = 0; p < block.count; ++p, out += channels) {
    std::fill_n(out, channels, F(0));
    if (block.nan[p]) continue;
    taps.template load<true>(call, block, p);
    for (int t = 0; t < taps.size; ++t) {
      F change = 0;
      for (int k = 0; k < N; ++k) change += tangent[p * N + N - 1 - k] * taps.slope[k][t];
      const F* pixel = image + taps.place[t] * channels;
      const bool is_read = taps.weight[t] != 0;
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c) {
        out[c] += is_read | is_finite(pixel[c]) ? change * pixel[c] : F(0);
      }
    }
  }
}

template <int N, int T, class F>
void vjp_many(const Call<F>& call, const F* __restrict image, const Block<N, T, F>& block,
              const F* __restrict values, F* __restrict out) {
  const int64_t channels = call.channels;
  Taps<N, T, F> taps;
  for (int p = 0; p < block.count; ++p, values += channels) {
    F sums[N] = {};
    if (!block.nan[p]) {
      taps.template load<true>(call, block, p);
      for_groups(taps.size, [&](int k, auto width) {
        const F* pixel[width];
        unroll<width>([&](auto j) { pixel[j] = image + taps.place[k + j] * channels; });
        F a = 0, b = 0, c = 0, d = 0;  // products of pixels with the values
#pragma omp simd reduction(+ : a, b, c, d)
        for (int64_t channel = 0; channel < channels; ++channel) {
          const F value = values[channel];
          a += value * pixel[0][channel];
          if constexpr (width > 1) b += value * pixel[1][channel];
          if constexpr (width > 2) c += value * pixel[2][channel], d += value * pixel[3][channel];
        }
        const F products[] = {a, b, c, d};
        unroll<width>([&](auto j) {
          const bool counts = taps.weight[k + j] != 0 || is_finite(products[j]);
          for (int axis = 0; axis < N; ++axis) {
            sums[axis] += counts ? taps.slope[axis][k + j] * products[j] : F(0);
          }
        });
      });
    }
    for (int k = 0; k < N; ++k) out[p * N + k] = sums[N - 1 - k];
  }
}

template <int N, int T, bool kWhole, class F>
void splat_many(const Call<F>& call, F* __restrict image, const Block<N, T, F>& block,
                const F* __restrict values, int32_t begin, int32_t end) {
  const int64_t channels = call.channels, first = call.pixels() / call.shape[0];
  Taps<N, T, F> taps;
  for (int p = 0; p < block.count; ++p, values += channels) {
    if (block.nan[p]) continue;
    taps.template load<false>(call, block, p);
    for (int t = 0; t < taps.size; ++t) {
      if (!kWhole && (taps.place[t] < begin * first || taps.place[t] >= end * first)) continue;
      F* __restrict pixel = image + taps.place[t] * channels;
      const F weight = taps.weight[t];
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c) pixel[c] += weight * values[c];
    }
  }
}

// --- a task --------------------------------------------------------------------------------------

// A chunk of one image's points.
template <int N, int T, int C, class F>
void run_points(const Call<F>& call, int64_t task) {
  const int64_t item = task / call.chunks, channels = call.channels;
  const int64_t begin = task % call.chunks * call.chunk;
  const int64_t end = std::min(begin + call.chunk, call.count);
  const F* image = call.image + item * call.pixels() * channels;
  const bool slopes = call.map != Map::kRead;
  Block<N, T, F> block;
  for (int64_t p = begin; p < end; p += kBlock) {
    const int64_t at = item * call.count + p;
    block.load(call, call.points + at * N, int(std::min<int64_t>(end - p, kBlock)), slopes);
    if (call.map == Map::kJvpPoints) {
      jvp_many(call, image, block, call.tangent + at * N, call.out + at * channels);
    } else if (call.map == Map::kRead) {
      F* out = call.out + at * channels;
      if constexpr (C > 0) read_few<N, T, C>(call, image, block, out);
      else read_many(call, image, block, out);
    } else {
      const F* values = call.values + at * channels;
      F* out = call.out + at * N;
      if constexpr (C > 0) vjp_few<N, T, C>(call, image, block, values, out);
      else vjp_many(call, image, block, values, out);
    }
  }
}

template <int N, int T, int C, bool kWhole, class F>
void splat_rows(const Call<F>& call, int64_t item, int32_t begin, int32_t end) {
  const int64_t channels = call.channels, pixels = call.pixels();
  const int64_t row = pixels / call.shape[0] * channels;
  F* image = call.out + item * pixels * channels;
  std::fill(image + begin * row, image + end * row, F(0));
  Block<N, T, F> block;
  for (int64_t p = 0; p < call.count; p += kBlock) {
    const int64_t at = item * call.count + p;
    const F* points = call.points + at * N;
    block.count = int(std::min<int64_t>(call.count - p, kBlock));
    block.load_axis(call, points, 0, false);
    if constexpr (!kWhole) {  // skip a block that lies in other rows
      bool any = false;
      for (int t = 0; t < T; ++t) {
        const int32_t* index = block.axes[0].index[t];
        for (int k = 0; k < block.count; ++k) any |= (index[k] >= begin) & (index[k] < end);
      }
      if (!any) continue;
    }
    for (int k = 1; k < N; ++k) block.load_axis(call, points, k, false);
    block.merge_nan();
    const F* values = call.values + at * channels;
    if constexpr (C > 0) splat_few<N, T, C, kWhole>(call, image, block, values, begin, end);
    else splat_many<N, T, kWhole>(call, image, block, values, begin, end);
  }
}

// A chunk of one image's rows: all points are looked at, and only its rows are written. So each
// pixel is summed in the order of the points, whatever the number of chunks.
template <int N, int T, int C, class F>
void run_rows(const Call<F>& call, int64_t task) {
  const int64_t item = task / call.chunks;
  const auto begin = int32_t(task % call.chunks * call.chunk);
  const auto end = int32_t(std::min<int64_t>(begin + call.chunk, call.shape[0]));
  if (call.chunks == 1) splat_rows<N, T, C, true>(call, item, begin, end);
  else splat_rows<N, T, C, false>(call, item, begin, end);
}

template <int N, int T, int C, class F>
void run_sized(const Call<F>& call, int64_t task) {
  if (call.map == Map::kSplat) run_rows<N, T, C>(call, task);
  else run_points<N, T, C>(call, task);
}

// Numbers of channels that have code of their own. Each takes time to compile: the usual ones have.
template <int N, int T, int C, class F>
constexpr bool kHasFew = T == 2 ? C == 1 || std::is_same_v<F, float>
                                : T <= 4 && std::is_same_v<F, float> && (C == 1 || N + C == 5);

template <int N, int T, class F>
void run_taps(const Call<F>& call, int64_t task) {
  bool found = false;
  unroll<kFewChannels>([&](auto c) {
    constexpr int C = c + 1;
    if constexpr (kHasFew<N, T, C, F>) {
      if (call.channels == C) run_sized<N, T, C>(call, task), found = true;
    }
  });
  if (!found) run_sized<N, T, 0>(call, task);
}

template <int N, class F>
void run_axes(const Call<F>& call, int64_t task) {
  switch (static_cast<const Row<F>*>(call.row)->taps) {
    case 1: return run_taps<N, 1>(call, task);
    case 2: return run_taps<N, 2>(call, task);
    case 4: return run_taps<N, 4>(call, task);
    case 6: return run_taps<N, 6>(call, task);
  }
}

template <class F>
void run(const Call<F>& call, int64_t task) {
  if (call.n == 2) run_axes<2>(call, task);
  else run_axes<3>(call, task);
}

template <class F>
std::vector<std::string_view> row_names() {
  std::vector<std::string_view> names;
  for (const auto& [name, row] : rows<F>()) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

template <class F>
const void* find_row(std::string_view name) {
  const auto found = rows<F>().find(name);
  return found == rows<F>().end() ? nullptr : &found->second;
}

}  // namespace

template <class F>
Functions<F> functions() {
  return {row_names<F>, find_row<F>, run<F>};
}

template Functions<float> functions<float>();
template Functions<double> functions<double>();

}  // namespace stn::STN_ARCH
