// tepal metrics-api with values that a test sets: the file named by METRICS_API_VALUES holds one
// number, which every pod and namespace has. No file: the source cannot say.

#include <cstdlib>

#include "apps/commands/metrics_api.h"
#include "core/base/text.h"

namespace tepal {
namespace {

using custom_metrics::ExternalQuery;
using custom_metrics::ExternalValue;
using custom_metrics::MetricInfo;
using custom_metrics::ObjectQuery;
using custom_metrics::ObjectValue;

constexpr char kMetric[] = "avg_time_queue_us";

class FileSource final : public custom_metrics::MetricSource {
 public:
  explicit FileSource(const commands::SourceWorld& world) : world_(world) {}

  std::vector<MetricInfo> ObjectMetrics() const override {
    return {{{"", "namespaces"}, false, kMetric}, {{"", "pods"}, true, kMetric}};
  }
  std::vector<std::string> ExternalMetrics() const override { return {kMetric}; }

  void GetValues(ObjectQuery query,
                 Function<void(Result<std::vector<ObjectValue>>)> done) override {
    if (query.metric.metric != kMetric) return done(NotFound("no such metric"));
    const Result<double> value = Value();
    if (!value.ok()) return done(value.status());
    std::vector<ObjectValue> values;
    for (const std::string& name : query.names) {
      values.push_back({name, *value, world_.clock.WallNow(), 30s});
    }
    done(std::move(values));
  }
  void GetExternalValues(ExternalQuery query,
                         Function<void(Result<std::vector<ExternalValue>>)> done) override {
    if (query.metric != kMetric) return done(NotFound("no such metric"));
    const Result<double> value = Value();
    if (!value.ok()) return done(value.status());
    done(std::vector<ExternalValue>{{{}, *value, world_.clock.WallNow(), std::nullopt}});
  }
  Status Health() const override { return Value().status(); }

 private:
  Result<double> Value() const {
    const char* const path = std::getenv("METRICS_API_VALUES");
    const auto text = world_.files.Read(path == nullptr ? "" : path, 100);
    if (!text.ok()) return Unavailable(text.status().message());
    const auto value = ParseNumber<double>(Trim(text->substr(0, text->find('\n'))));
    if (!value) return Unavailable("the file has no number");
    return *value;
  }

  const commands::SourceWorld world_;
};

Result<std::unique_ptr<custom_metrics::MetricSource>> NewFileSource(
    const commands::SourceWorld& world, const commands::MetricsApiFlags&) {
  return std::unique_ptr<custom_metrics::MetricSource>(std::make_unique<FileSource>(world));
}

Status Any(const commands::MetricsApiFlags&) { return {}; }

}  // namespace
}  // namespace tepal

int main(int argc, char** argv) {
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  return tepal::commands::RunMetricsApiWith(words, {tepal::Any, tepal::NewFileSource});
}
