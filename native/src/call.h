// What one call of a map is; shared by all instruction sets.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace stn {

// The four maps of stn_jax.sampling.operator.
enum class Map { kRead, kJvpPoints, kSplat, kVjpPoints };

// Arrays are dense, channels last: images (batch, *shape, channels), values (batch, count,
// channels), points (batch, count, n) with x first.
template <class F>
struct Call {
  Map map;
  const F* image;    // read, jvp_points, vjp_points
  const F* values;   // splat, vjp_points: the cotangent
  const F* tangent;  // jvp_points: of the points
  const F* points;
  F* out;
  int64_t batch, count, channels;
  int n;             // spatial axes
  int32_t shape[3];  // their sizes, in image order
  const void* row;   // the interpolation: a Row<F> of maps.cc
  F coefficient;     // of the bicubic kernel
  int64_t chunk;     // points of a task; splat: rows of an image's first axis
  int64_t chunks;    // tasks of an image

  int64_t pixels() const {
    int64_t product = 1;
    for (int k = 0; k < n; ++k) product *= shape[k];
    return product;
  }
};

// What one instruction set offers for a type.
template <class F>
struct Functions {
  std::vector<std::string_view> (*row_names)();
  const void* (*find_row)(std::string_view name);  // null if there is none
  void (*run)(const Call<F>& call, int64_t task);
};

}  // namespace stn
