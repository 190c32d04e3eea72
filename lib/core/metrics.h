// SPDX-License-Identifier: MIT
// Figures of a running program, as Prometheus text and as one JSON object.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fieldpipe {

// Collects families of samples and prints them. Names, label names and help are the program's own words; label values
// may be anything. A counter's name ends in _total.
class Metrics {
 public:
  // `help` is one sentence: lower case, no period.
  void counter(std::string_view name, std::string_view help, std::uint64_t value);
  void gauge(std::string_view name, std::string_view help, double value);

  // Several samples that one label tells apart.
  using Samples = std::vector<std::pair<std::string, double>>;
  void counters(std::string_view name, std::string_view help, std::string_view label, Samples samples);
  void gauges(std::string_view name, std::string_view help, std::string_view label, Samples samples);

  // Observations by size: `counts` has one element for each of `bounds`, which are upper ones and ascend, and one for
  // all that are larger.
  void histogram(std::string_view name, std::string_view help, std::span<const double> bounds,
                 std::span<const std::uint64_t> counts, double sum);

  // The text format that Prometheus reads, version 0.0.4; each name begins with `prefix`.
  [[nodiscard]] std::string print(std::string_view prefix) const;

  // One JSON object without a line end: a number for each name; an object by label value; for a histogram its sum and
  // its count.
  [[nodiscard]] std::string print_json() const;

 private:
  struct Sample {
    std::string suffix;  // of the name
    std::string label;   // of a family without labels: empty
    double value;
  };
  struct Family {
    std::string name;
    std::string help;
    std::string_view type;
    std::string label;
    std::vector<Sample> samples;
  };
  Family& add(std::string_view name, std::string_view help, std::string_view type, std::string_view label);

  std::vector<Family> families_;
};

}  // namespace fieldpipe
