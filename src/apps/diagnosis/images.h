// What is known of container images, and of what a container may hold alone.

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tepal::diagnosis {

struct ImageFault {
  bool gone = false;  // It cannot be pulled; otherwise it is only old.
  std::string fault;
  std::string fix;
};
std::optional<ImageFault> ImageProblem(std::string_view image);

bool IsMetricsAdapter(std::string_view image);
bool IsInferenceServer(std::string_view image);
bool IsNginx(std::string_view image);

// A device that no two pods share: nvidia.com/mig-1g.5gb. Not cpu, memory or hugepages.
bool IsExclusiveResource(std::string_view name);

}  // namespace tepal::diagnosis
