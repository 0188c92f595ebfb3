#include "apps/diagnosis/images.h"

#include "core/base/text.h"

namespace tepal::diagnosis {
namespace {

constexpr int kTritonYearMin = 23;  // "22.12" and older have no gRPC health service to probe.

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

std::optional<ImageFault> ImageProblem(std::string_view image) {
  if (IsMetricsAdapter(image) && !image.starts_with("registry.k8s.io/")) {
    return ImageFault{
        true, Concat("the image ", image, " is no longer published, and its API versions are gone"),
        "run tepal metrics-api, which takes the same flags and rules (or "
        "registry.k8s.io/prometheus-adapter/prometheus-adapter:v0.12.0)"};
  }
  if (image.starts_with("k8s.gcr.io/") || image.starts_with("gcr.io/google_containers/")) {
    return ImageFault{true, Concat("the registry of ", image, " was closed in 2023"),
                      "take the image from registry.k8s.io"};
  }
  if (image.starts_with("nvcr.io/nvidian/")) {
    return ImageFault{true,
                      Concat("the image ", image, " is NVIDIA's own: nobody else may pull it"),
                      "run tepal balance, which reads the same nginx.conf, or build an image"};
  }
  if (Contains(image, "tritonserver:")) {
    const std::string_view tag = image.substr(image.rfind(':') + 1);
    const auto year = ParseNumber<int>(tag.substr(0, tag.find('.')));
    if (year.has_value() && *year < kTritonYearMin) {
      return ImageFault{false,
                        Concat("the image ", image, " is of 20", *year,
                               ": it gets no more fixes and its drivers and flags are old"),
                        "take a current one, or tepal's image, which takes the same command line"};
    }
  }
  return std::nullopt;
}

bool IsMetricsAdapter(std::string_view image) { return Contains(image, "prometheus-adapter"); }
bool IsInferenceServer(std::string_view image) { return Contains(image, "tritonserver"); }
bool IsNginx(std::string_view image) { return Contains(image, "nginx"); }

bool IsExclusiveResource(std::string_view name) {
  return Contains(name, "/") && !Contains(name, "kubernetes.io/");
}

}  // namespace tepal::diagnosis
