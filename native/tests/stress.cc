// Random calls of the four maps, for sanitizers and for other processors:
//
//     stress [calls] [seed]
//
// Shapes from 1 pixel up, any number of channels, points far outside, infinite and NaN. Checked:
// the same bits with any number of threads; NaN comes of NaN or infinite points alone; and each map
// is the adjoint of its transpose, <V', read(U)> = <splat(V'), U> and
// <V', jvp_points(dx)> = <vjp_points(V'), dx>. Prints, for each interpolation and type, the sum of
// all results' sizes, so that processors can be compared.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../src/call.h"
#include "../src/parallel.h"

namespace stn::baseline {
template <class F>
Functions<F> functions();
}

namespace {

using stn::Call;
using stn::Map;

// Starts a thread for everything that is scheduled.
class Threads {
 public:
  explicit Threads(int64_t count) : count_(count) {}
  ~Threads() {
    for (auto& thread : threads_) thread.join();
  }
  int64_t num_threads() const { return count_; }
  template <class Work>
  void Schedule(Work work) {
    threads_.emplace_back(work);
  }

 private:
  int64_t count_;
  std::vector<std::thread> threads_;
};

class Random {
 public:
  explicit Random(uint32_t seed) : bits_(seed) {}
  int64_t below(int64_t n) { return bits_() % n; }
  double uniform(double low, double high) { return low + (high - low) * (bits_() * 0x1p-32); }

 private:
  std::mt19937 bits_;
};

[[noreturn]] void fail(const std::string& what, const std::string& row) {
  std::fprintf(stderr, "%s: %s\n", row.c_str(), what.c_str());
  std::exit(1);
}

template <class F>
class Stress {
 public:
  Stress(std::string row, int64_t seed) : row_(std::move(row)), random_(uint32_t(seed)) {}

  // Runs all maps on one random call; returns the sum of the sizes of their results.
  double run() {
    Call<F> call = {};
    call.n = 2 + int(random_.below(2));
    call.batch = 1 + random_.below(3);
    call.channels = random_.below(3) ? 1 + random_.below(4) : 5 + random_.below(20);
    call.count = random_.below(8) ? random_.below(300) : random_.below(40000 / call.channels);
    for (int k = 0; k < call.n; ++k) {
      call.shape[k] = int32_t(1 + random_.below(random_.below(4) ? 5 : 40));
    }
    call.row = functions_.find_row(row_);
    call.coefficient = F(random_.uniform(-1, 0));

    const int64_t points = call.batch * call.count;
    const auto x = draw(points * call.n, [&] { return coordinate(); });
    const auto number = [&] { return random_.uniform(-1, 1); };
    const auto image = draw(call.batch * call.pixels() * call.channels, number);
    const auto values = draw(points * call.channels, number);
    const auto tangent = draw(points * call.n, number);
    call.points = x.data();
    call.image = image.data();
    call.values = values.data();
    call.tangent = tangent.data();

    const auto v = of(Map::kRead, call, values.size());
    const auto u = of(Map::kSplat, call, image.size());
    const auto dv = of(Map::kJvpPoints, call, values.size());
    const auto dx = of(Map::kVjpPoints, call, tangent.size());
    for (int64_t p = 0; p < points; ++p) {
      bool is_odd = false;
      for (int k = 0; k < call.n; ++k) is_odd |= !std::isfinite(x[p * call.n + k]);
      for (int64_t c = 0; c < call.channels; ++c) {
        if (!std::isfinite(v[p * call.channels + c]) && !is_odd) fail("not finite", row_);
      }
    }
    // Slopes are as large as an image, and their sums may cancel.
    const double terms = double(values.size()) * call.n * 40;
    compare(product(values, v), product(u, image), terms, "read and splat");
    compare(product(values, dv), product(dx, tangent), terms, "jvp_points and vjp_points");
    return size(v) + size(u) + size(dv) + size(dx);
  }

 private:
  struct Product {
    double sum = 0, size = 0;
  };

  // Near the image, on pixel centres, far away, at the ends of numbers, and none.
  double coordinate() {
    switch (random_.below(12)) {
      case 0: return double(random_.below(9)) - 4;
      case 1: return random_.uniform(-1, 1) * std::pow(10.0, random_.uniform(-40, 38));
      case 2: return random_.below(40) ? 0.5 : odd_[random_.below(5)];
      case 3: return random_.uniform(-40, 40);
      default: return random_.uniform(-1.3, 1.3);
    }
  }

  template <class Draw>
  std::vector<F> draw(int64_t size, Draw draw) {
    std::vector<F> numbers(size);
    for (F& number : numbers) number = F(draw());
    return numbers;
  }

  // The result of a map; the same with one thread as with several.
  std::vector<F> of(Map map, Call<F> call, size_t size) {
    std::vector<F> results[3];
    call.map = map;
    for (int k = 0; k < 3; ++k) {
      results[k].assign(size, F(7));
      call.out = results[k].data();
      Threads pool(1 + 2 * k);
      stn::run_call(functions_, call, pool);
    }
    for (int k = 1; k < 3; ++k) {
      const auto& other = results[k];
      if (size && std::memcmp(results[0].data(), other.data(), size * sizeof(F))) {
        fail("bits differ with " + std::to_string(1 + 2 * k) + " threads", row_);
      }
    }
    return results[0];
  }

  static Product product(const std::vector<F>& a, const std::vector<F>& b) {
    Product all;
    for (size_t k = 0; k < a.size(); ++k) {
      const double term = double(a[k]) * double(b[k]);
      if (!std::isfinite(term)) continue;  // a NaN point
      all.sum += term;
      all.size += std::abs(term);
    }
    return all;
  }

  void compare(Product a, Product b, double terms, const char* what) {
    const double allowed = 10 * std::numeric_limits<F>::epsilon() * (a.size + b.size + terms);
    if (!(std::abs(a.sum - b.sum) <= allowed)) {
      fail(std::string(what) + " are not adjoint: " + std::to_string(a.sum) + " and " +
               std::to_string(b.sum), row_);
    }
  }

  static double size(const std::vector<F>& numbers) {
    double sum = 0;
    for (F number : numbers) sum += std::isfinite(number) ? std::abs(double(number)) : 0;
    return sum;
  }

  const stn::Functions<F> functions_ = stn::baseline::functions<F>();
  const std::string row_;
  Random random_;
  const double infinity_ = std::numeric_limits<double>::infinity();
  const double odd_[5] = {infinity_, -infinity_, std::nan(""), 2147483648.0, -1e300};
};

template <class F>
void run(const char* type, int calls, int seed) {
  for (const std::string_view row : stn::baseline::functions<F>().row_names()) {
    Stress<F> stress(std::string(row), seed);
    double sum = 0;
    for (int k = 0; k < calls; ++k) sum += stress.run();
    std::printf("%s %s %.6e\n", std::string(row).c_str(), type, sum);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int calls = argc > 1 ? std::atoi(argv[1]) : 20, seed = argc > 2 ? std::atoi(argv[2]) : 0;
  run<float>("float32", calls, seed);
  run<double>("float64", calls, seed);
}
