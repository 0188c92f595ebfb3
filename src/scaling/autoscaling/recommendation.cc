#include "scaling/autoscaling/recommendation.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>

#include "core/base/text.h"

namespace tepal::autoscaling {
namespace {

bool Within(const Tolerance& tolerance, double ratio) {
  // The slack keeps 1.1 from being "above 1 + 0.1" by the last bit.
  constexpr double kRounding = 1e-9;
  return 1 - tolerance.scale_down - kRounding <= ratio &&
         ratio <= 1 + tolerance.scale_up + kRounding;
}

// Ceiling in which 3.0000000001, an artefact of division, is 3.
int CeilToReplicas(double replicas) {
  constexpr double kRounding = 1e-9;
  const double whole = std::ceil(replicas - kRounding);
  return static_cast<int>(
      std::clamp(whole, 0.0, static_cast<double>(std::numeric_limits<int>::max())));
}

double Sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

std::optional<int> FromTotal(const MetricReading& reading, int replicas,
                             const Tolerance& tolerance) {
  if (!std::isfinite(*reading.total)) return std::nullopt;
  if (replicas > 0 && Within(tolerance, *reading.total / (reading.target * replicas))) {
    return replicas;
  }
  return CeilToReplicas(*reading.total / reading.target);
}

std::optional<int> FromReplicas(const MetricReading& reading, int replicas,
                                const Tolerance& tolerance) {
  const double measured = static_cast<double>(reading.replica_values.size());
  const double sum = Sum(reading.replica_values);
  if (measured == 0 || !std::isfinite(sum)) return std::nullopt;
  const double ratio = sum / measured / reading.target;
  if (reading.missing_replicas == 0) {
    return Within(tolerance, ratio) ? replicas : CeilToReplicas(ratio * measured);
  }

  const double assumed = ratio < 1 ? reading.target : 0;
  const double all = measured + reading.missing_replicas;
  const double cautious = (sum + assumed * reading.missing_replicas) / all / reading.target;
  const bool turned = (ratio < 1 && cautious > 1) || (ratio > 1 && cautious < 1);
  if (turned || Within(tolerance, cautious)) return replicas;
  const int desired = CeilToReplicas(cautious * all);
  // Assumed values must not turn the direction by way of a different number of replicas either.
  if ((cautious < 1 && desired > replicas) || (cautious > 1 && desired < replicas)) return replicas;
  return desired;
}

// Whole from ten on, at most one decimal below, so that a line a second stays short.
std::string Short(double value, const std::string& unit) {
  char digits[64];
  std::snprintf(digits, sizeof(digits), std::abs(value) >= 10 ? "%.0f" : "%.1f", value);
  std::string text = digits;
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return unit.empty() ? text : Concat(text, " ", unit);
}

}  // namespace

std::optional<double> MetricReading::ValuePerReplica(int replicas) const {
  if (total.has_value()) return *total / std::max(replicas, 1);
  if (replica_values.empty()) return std::nullopt;
  return Sum(replica_values) / static_cast<double>(replica_values.size());
}

std::optional<int> RecommendReplicas(const MetricReading& reading, int replicas,
                                     const Tolerance& tolerance) {
  return reading.total.has_value() ? FromTotal(reading, replicas, tolerance)
                                   : FromReplicas(reading, replicas, tolerance);
}

std::string Explain(const MetricReading& reading, int replicas, const Tolerance& tolerance) {
  const std::optional<double> value = reading.ValuePerReplica(replicas);
  if (!value.has_value() || !std::isfinite(*value)) return Concat(reading.name, " unknown");
  const double ratio = *value / reading.target;
  const char* relation = Within(tolerance, ratio) ? " ~ " : ratio > 1 ? " > " : " < ";
  return Concat(reading.name, " ", Short(*value, reading.unit), relation,
                Short(reading.target, reading.unit), reading.unit.empty() ? " per replica" : "");
}

}  // namespace tepal::autoscaling
