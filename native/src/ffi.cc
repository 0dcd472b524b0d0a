// The maps as XLA custom calls: reads shapes and picks an instruction set.

#include <cstdint>
#include <string>
#include <string_view>

#include "call.h"
#include "parallel.h"
#include "xla/ffi/api/ffi.h"

namespace stn {

#define STN_DECLARE(arch)          \
  namespace arch {                 \
  template <class F>               \
  Functions<F> functions();        \
  }
STN_DECLARE(baseline)
#ifdef STN_X86_SETS
STN_DECLARE(avx2)
STN_DECLARE(avx512)
#endif

namespace {

namespace ffi = xla::ffi;

std::string_view instruction_set() {
#ifdef STN_X86_SETS
  if (__builtin_cpu_supports("x86-64-v4")) return "avx512";
  if (__builtin_cpu_supports("x86-64-v3")) return "avx2";
#endif
  return "baseline";
}

template <class F>
const Functions<F>& functions() {
  static const Functions<F> chosen = [] {
#ifdef STN_X86_SETS
    if (instruction_set() == "avx512") return avx512::functions<F>();
    if (instruction_set() == "avx2") return avx2::functions<F>();
#endif
    return baseline::functions<F>();
  }();
  return chosen;
}

template <class F>
ffi::Error run(Call<F> call, std::string_view row, ffi::ThreadPool pool) {
  call.row = functions<F>().find_row(row);
  if (call.row == nullptr) {
    return ffi::Error::InvalidArgument("stn-jax-cpu has no interpolation " + std::string(row));
  }
  run_call(functions<F>(), call, pool);
  return ffi::Error::Success();
}

// An operand by its place in the call.
template <class F>
const F* data(ffi::RemainingArgs args, size_t k) {
  return reinterpret_cast<const F*>(args.get<ffi::AnyBuffer>(k)->untyped_data());
}

int64_t product(ffi::Span<const int64_t> dims, size_t first, size_t last) {
  int64_t size = 1;
  for (size_t k = first; k < last; ++k) size *= dims[k];
  return size;
}

// Operands: (image, points), (image, tangent, points), (values, points) or (image, values, points);
// the image, or the result of a splat, says batch and shape, the points say n and their count.
template <class F>
ffi::Error call_map(Map map, ffi::RemainingArgs args, ffi::AnyBuffer out, std::string_view row,
                    double coefficient, ffi::ThreadPool pool) {
  const size_t last = args.size() - 1;
  const auto points = args.get<ffi::AnyBuffer>(last)->dimensions();
  const auto image = map == Map::kSplat ? out.dimensions() : args.get<ffi::AnyBuffer>(0)->dimensions();
  Call<F> call = {};
  call.map = map;
  call.n = int(points.back());
  call.points = data<F>(args, last);
  call.out = reinterpret_cast<F*>(out.untyped_data());
  call.image = map == Map::kSplat ? nullptr : data<F>(args, 0);
  if (map == Map::kSplat) call.values = data<F>(args, 0);
  if (map == Map::kVjpPoints) call.values = data<F>(args, 1);
  if (map == Map::kJvpPoints) call.tangent = data<F>(args, 1);
  const size_t rank = image.size();
  call.batch = product(image, 0, rank - 1 - call.n);
  for (int k = 0; k < call.n; ++k) call.shape[k] = int32_t(image[rank - 1 - call.n + k]);
  call.channels = image[rank - 1];
  call.count = points[points.size() - 2];
  call.coefficient = F(coefficient);
  return run(call, row, pool);
}

template <Map map>
ffi::Error dispatch(ffi::RemainingArgs args, ffi::Result<ffi::AnyBuffer> out,
                    std::string_view row, double coefficient, ffi::ThreadPool pool) {
  switch (out->element_type()) {
    case ffi::F32: return call_map<float>(map, args, *out, row, coefficient, pool);
    case ffi::F64: return call_map<double>(map, args, *out, row, coefficient, pool);
    default: return ffi::Error::InvalidArgument("stn-jax-cpu takes float32 and float64");
  }
}

auto binding() {
  return ffi::Ffi::Bind()
      .RemainingArgs()
      .Ret<ffi::AnyBuffer>()
      .Attr<std::string_view>("row")
      .Attr<double>("coefficient")
      .Ctx<ffi::ThreadPool>();
}

}  // namespace
}  // namespace stn

#pragma GCC visibility push(default)

XLA_FFI_DEFINE_HANDLER_SYMBOL(stn_read, stn::dispatch<stn::Map::kRead>, stn::binding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(stn_jvp_points, stn::dispatch<stn::Map::kJvpPoints>, stn::binding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(stn_splat, stn::dispatch<stn::Map::kSplat>, stn::binding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(stn_vjp_points, stn::dispatch<stn::Map::kVjpPoints>, stn::binding());

// The instruction set that this machine runs.
extern "C" const char* stn_instruction_set() { return stn::instruction_set().data(); }

#pragma GCC visibility pop
