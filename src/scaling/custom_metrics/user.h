// Who is asking, as Kubernetes knows users.

#pragma once

#include <map>
#include <string>
#include <vector>

namespace tepal::custom_metrics {

inline constexpr char kAnonymous[] = "system:anonymous";
inline constexpr char kAuthenticatedGroup[] = "system:authenticated";
inline constexpr char kUnauthenticatedGroup[] = "system:unauthenticated";

struct User {
  std::string name;
  std::string uid;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;

  bool operator==(const User&) const = default;
};

inline User AnonymousUser() { return {kAnonymous, "", {kUnauthenticatedGroup}, {}}; }

}  // namespace tepal::custom_metrics
