// SPDX-License-Identifier: MIT
#include "core/metrics.h"

#include <fmt/format.h>

namespace fieldpipe {
namespace {

constexpr std::string_view kCounter = "counter";
constexpr std::string_view kGauge = "gauge";
constexpr std::string_view kHistogram = "histogram";

// Between quotes, in both formats.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

}  // namespace

Metrics::Family& Metrics::add(std::string_view name, std::string_view help, std::string_view type,
                              std::string_view label) {
  return families_.emplace_back(Family{std::string(name), std::string(help), type, std::string(label), {}});
}

void Metrics::counter(std::string_view name, std::string_view help, std::uint64_t value) {
  add(name, help, kCounter, {}).samples.push_back({{}, {}, static_cast<double>(value)});
}

void Metrics::gauge(std::string_view name, std::string_view help, double value) {
  add(name, help, kGauge, {}).samples.push_back({{}, {}, value});
}

void Metrics::counters(std::string_view name, std::string_view help, std::string_view label, Samples samples) {
  Family& family = add(name, help, kCounter, label);
  for (auto& [text, value] : samples) family.samples.push_back({{}, std::move(text), value});
}

void Metrics::gauges(std::string_view name, std::string_view help, std::string_view label, Samples samples) {
  Family& family = add(name, help, kGauge, label);
  for (auto& [text, value] : samples) family.samples.push_back({{}, std::move(text), value});
}

void Metrics::histogram(std::string_view name, std::string_view help, std::span<const double> bounds,
                        std::span<const std::uint64_t> counts, double sum) {
  Family& family = add(name, help, kHistogram, "le");
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    below += counts[i];
    const std::string bound = i < bounds.size() ? fmt::format("{}", bounds[i]) : "+Inf";
    family.samples.push_back({"_bucket", bound, static_cast<double>(below)});
  }
  family.samples.push_back({"_sum", {}, sum});
  family.samples.push_back({"_count", {}, static_cast<double>(below)});
}

std::string Metrics::print(std::string_view prefix) const {
  std::string out;
  for (const Family& family : families_) {
    fmt::format_to(std::back_inserter(out), "# HELP {0}{1} {2}\n# TYPE {0}{1} {3}\n", prefix, family.name, family.help,
                   family.type);
    for (const Sample& sample : family.samples) {
      out.append(prefix).append(family.name).append(sample.suffix);
      if (!sample.label.empty()) {
        fmt::format_to(std::back_inserter(out), "{{{}=\"{}\"}}", family.label, escaped(sample.label));
      }
      fmt::format_to(std::back_inserter(out), " {}\n", sample.value);
    }
  }
  return out;
}

std::string Metrics::print_json() const {
  std::string out = "{";
  for (const Family& family : families_) {
    if (out.size() > 1) out += ',';
    fmt::format_to(std::back_inserter(out), "\"{}\":", family.name);
    if (family.label.empty()) {
      fmt::format_to(std::back_inserter(out), "{}", family.samples.front().value);
      continue;
    }
    out += '{';
    for (const Sample& sample : family.samples) {
      if (sample.suffix == "_bucket") continue;
      const std::string_view name =
          sample.suffix.empty() ? std::string_view(sample.label) : std::string_view(sample.suffix).substr(1);
      fmt::format_to(std::back_inserter(out), "{}\"{}\":{}", out.back() == '{' ? "" : ",", escaped(name), sample.value);
    }
    out += '}';
  }
  return out += '}';
}

}  // namespace fieldpipe
