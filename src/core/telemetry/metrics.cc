#include "core/telemetry/metrics.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/base/guarded.h"
#include "core/base/text.h"

namespace tepal::telemetry {

unsigned ThreadCell() {
  static std::atomic<unsigned> next{0};
  thread_local const unsigned cell = next.fetch_add(1, std::memory_order_relaxed);
  return cell;
}

// Buckets: 0..7 exactly, then eight to each power of two.
int LatencyHistogram::BucketOf(int64_t microseconds) {
  const auto value = static_cast<uint64_t>(std::max<int64_t>(microseconds, 0));
  if (value < 8) return static_cast<int>(value);
  const int exponent = static_cast<int>(std::bit_width(value)) - 4;  // value >> exponent is 8..15.
  const int bucket = (exponent + 1) * 8 + static_cast<int>((value >> exponent) - 8);
  return std::min(bucket, kBuckets - 1);
}

int64_t LatencyHistogram::ValueOf(int bucket) {
  if (bucket < 8) return bucket;
  const int exponent = bucket / 8 - 1;
  const int64_t low = static_cast<int64_t>(8 + bucket % 8) << exponent;
  return low + ((int64_t{1} << exponent) / 2);
}

void LatencyHistogram::Record(int64_t microseconds) {
  counts_[static_cast<size_t>(BucketOf(microseconds))].fetch_add(1, std::memory_order_relaxed);
}

uint64_t LatencyHistogram::count() const {
  uint64_t sum = 0;
  for (const auto& count : counts_) sum += count.load(std::memory_order_relaxed);
  return sum;
}

std::array<uint64_t, LatencyHistogram::kBuckets> LatencyHistogram::Read() const {
  std::array<uint64_t, kBuckets> counts;
  for (size_t i = 0; i < counts.size(); ++i) {
    counts[i] = counts_[i].load(std::memory_order_relaxed);
  }
  return counts;
}

int64_t LatencyHistogram::QuantileOf(const std::array<uint64_t, kBuckets>& counts, double q) {
  uint64_t total = 0;
  for (const uint64_t count : counts) total += count;
  if (total == 0) return 0;
  const auto rank = static_cast<uint64_t>(std::ceil(q * static_cast<double>(total)));
  uint64_t seen = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    seen += counts[i];
    if (seen >= std::max<uint64_t>(rank, 1)) return ValueOf(static_cast<int>(i));
  }
  return ValueOf(kBuckets - 1);
}

int64_t LatencyHistogram::Quantile(double q) const { return QuantileOf(Read(), q); }

// A label's value or a help text: backslash, quote and newline escaped.
static void AppendEscapedLabel(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '\\' || c == '"') out.push_back('\\');
    if (c == '\n') {
      out.append("\\n");
    } else {
      out.push_back(c);
    }
  }
}

static void AppendValue(std::string& out, double value) {
  if (std::isnan(value)) {
    out.append("NaN");
  } else if (std::isinf(value)) {
    out.append(value > 0 ? "+Inf" : "-Inf");
  } else {
    out.append(Concat(value));
  }
}

static void AppendSeries(std::string& out, std::string_view name, std::string_view suffix,
                         const Labels& labels) {
  out.append(name).append(suffix);
  if (!labels.empty()) {
    char separator = '{';
    for (const auto& [key, value] : labels) {
      out.push_back(separator);
      out.append(key).append("=\"");
      AppendEscapedLabel(out, value);
      out.push_back('"');
      separator = ',';
    }
    out.push_back('}');
  }
  out.push_back(' ');
}

void PrometheusWriter::Family(std::string_view name, std::string_view help, Type type) {
  static constexpr std::string_view kTypes[] = {"counter", "gauge", "histogram", "summary",
                                                "untyped"};
  name_ = name;
  text_ += Concat("# HELP ", name, " ", help, "\n# TYPE ", name, " ",
                  kTypes[static_cast<size_t>(type)], "\n");
}

void PrometheusWriter::Sample(const Labels& labels, double value) {
  SuffixedSample("", labels, value);
}

void PrometheusWriter::Sample(const Labels& labels, uint64_t value) {
  SuffixedSample("", labels, value);
}

void PrometheusWriter::Sample(const Labels& labels, int64_t value) {
  AppendSeries(text_, name_, "", labels);
  text_ += Concat(value, "\n");
}

void PrometheusWriter::SuffixedSample(std::string_view suffix, const Labels& labels, double value) {
  AppendSeries(text_, name_, suffix, labels);
  AppendValue(text_, value);
  text_.push_back('\n');
}

void PrometheusWriter::SuffixedSample(std::string_view suffix, const Labels& labels,
                                      uint64_t value) {
  AppendSeries(text_, name_, suffix, labels);
  text_ += Concat(value, "\n");
}

struct MetricsRegistry::Impl {
  Guarded<std::vector<Collector>> collectors;
};

MetricsRegistry::MetricsRegistry() : impl_(std::make_unique<Impl>()) {}
MetricsRegistry::~MetricsRegistry() = default;

void MetricsRegistry::Add(Collector collector) {
  impl_->collectors.Lock()->push_back(std::move(collector));
}

std::string MetricsRegistry::Text() {
  PrometheusWriter writer;
  auto collectors = impl_->collectors.Lock();
  for (Collector& collector : *collectors) collector(writer);
  return writer.Take();
}

}  // namespace tepal::telemetry
