#include "core/runtime/cpu_groups.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "core/base/text.h"
#include "core/runtime/unique_fd.h"

namespace tepal::runtime {
namespace {

// Short, so that a request held up by the quota waits for milliseconds; the kernel's own default of
// 100 ms would be seen in every latency. The kernel accepts no quota below 1 ms.
constexpr int64_t kPeriodUs = 20'000;
constexpr int64_t kQuotaMinUs = 1'000;
constexpr std::string_view kPrefix = "tepal-";

std::string ReadAll(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

Status Write(const std::string& path, const std::string& text) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.valid()) return Status::FromErrno(errno, Concat("opening ", path));
  if (write(file.get(), text.data(), text.size()) < 0) {
    return Status::FromErrno(errno, Concat("writing ", text, " to ", path));
  }
  return {};
}

Status Make(const std::string& directory) {
  if (mkdir(directory.c_str(), 0755) == 0) return {};
  return Status::FromErrno(errno, Concat("making ", directory));
}

std::vector<std::string> Subdirectories(const std::string& directory) {
  std::vector<std::string> names;
  DIR* const listing = opendir(directory.c_str());
  if (listing == nullptr) return names;
  while (const dirent* entry = readdir(listing)) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  closedir(listing);
  return names;
}

// Only empty groups can be removed; whatever still has a process stays.
void RemoveTree(const std::string& directory) {
  for (const std::string& name : Subdirectories(directory)) {
    rmdir(Concat(directory, "/", name).c_str());
  }
  rmdir(directory.c_str());
}

void RemoveLeftovers(const std::string& directory) {
  for (const std::string& name : Subdirectories(directory)) {
    if (!name.starts_with(kPrefix)) continue;
    const auto pid = ParseNumber<pid_t>(std::string_view(name).substr(kPrefix.size()));
    if (!pid.has_value() || *pid <= 0) continue;
    if (kill(*pid, 0) != 0 && errno == ESRCH) RemoveTree(Concat(directory, "/", name));
  }
}

class Groups final : public env::CpuGroups {
 public:
  Groups(int version, std::string directory)
      : version_(version), directory_(std::move(directory)) {}
  ~Groups() override { RemoveTree(directory_); }

  Result<std::string> Create(const std::string& name, double cores) override {
    const std::string group = Concat(directory_, "/", name);
    RETURN_IF_ERROR(Make(group));
    const int64_t period_us =
        std::max(kPeriodUs, static_cast<int64_t>(std::ceil(kQuotaMinUs / cores)));
    const int64_t quota_us =
        std::max<int64_t>(kQuotaMinUs, std::llround(cores * static_cast<double>(period_us)));
    if (version_ == 2) {
      RETURN_IF_ERROR(Write(group + "/cpu.max", Concat(quota_us, " ", period_us)));
    } else {
      RETURN_IF_ERROR(Write(group + "/cpu.cfs_period_us", Concat(period_us)));
      RETURN_IF_ERROR(Write(group + "/cpu.cfs_quota_us", Concat(quota_us)));
    }
    return group;
  }

  Status Move(const std::string& group, int pid) override {
    return Write(group + "/cgroup.procs", Concat(pid));
  }

  std::string Describe() const override { return Concat("cgroup v", version_, " at ", directory_); }

 private:
  int version_;
  std::string directory_;
};

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  for (const std::string_view word : Split(line, ' ')) {
    if (!word.empty()) words.push_back(word);
  }
  return words;
}

bool Lists(std::string_view comma_separated, std::string_view name) {
  const std::vector<std::string_view> names = Split(comma_separated, ',');
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The path of this process in /proc/self/cgroup: "ID:CONTROLLERS:PATH", no controller for v2.
std::optional<std::string> OwnPath(std::string_view cgroup, int version) {
  for (const std::string_view line : Split(cgroup, '\n')) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    if (version == 2 ? controllers.empty() : Lists(controllers, "cpu")) {
      return std::string(line.substr(second + 1));
    }
  }
  return std::nullopt;
}

// "/a" below a mount of "/a" is the mount point itself; a path outside of what is mounted (another
// cgroup namespace) is taken as the mount point, the nearest that can be seen.
std::string Below(std::string_view mount_point, std::string_view root, std::string_view path) {
  if (path == "/" || path.find("/..") != std::string_view::npos) return std::string(mount_point);
  if (root != "/") {
    if (!path.starts_with(root)) return std::string(mount_point);
    path.remove_prefix(root.size());
  }
  return Concat(mount_point, path);
}

}  // namespace

std::optional<CpuHierarchy> FindCpuHierarchy(std::string_view mountinfo, std::string_view cgroup) {
  std::optional<CpuHierarchy> found;
  for (const std::string_view line : Split(mountinfo, '\n')) {
    // ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS … - TYPE SOURCE SUPEROPTIONS
    const std::vector<std::string_view> words = Words(line);
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 6 || words.end() - dash < 4) continue;
    const std::string_view type = dash[1];
    const int version = type == "cgroup" && Lists(dash[3], "cpu") ? 1 : type == "cgroup2" ? 2 : 0;
    if (version == 0 || (found.has_value() && found->version < version)) continue;
    const std::optional<std::string> path = OwnPath(cgroup, version);
    if (path.has_value()) found = CpuHierarchy{version, Below(words[4], words[3], *path)};
  }
  return found;
}

Result<std::unique_ptr<env::CpuGroups>> OpenCpuGroups() {
  const std::optional<CpuHierarchy> hierarchy =
      FindCpuHierarchy(ReadAll("/proc/self/mountinfo"), ReadAll("/proc/self/cgroup"));
  if (!hierarchy.has_value()) {
    return FailedPrecondition("no control group hierarchy with the cpu controller is mounted");
  }
  RemoveLeftovers(hierarchy->directory);
  const std::string own = Concat(hierarchy->directory, "/", kPrefix, getpid());
  if (hierarchy->version == 2) {
    RETURN_IF_ERROR(Write(hierarchy->directory + "/cgroup.subtree_control", "+cpu"));
  }
  RETURN_IF_ERROR(Make(own));
  auto groups = std::make_unique<Groups>(hierarchy->version, own);
  if (hierarchy->version == 2) {
    RETURN_IF_ERROR(Write(own + "/cgroup.subtree_control", "+cpu"));
  }
  RETURN_IF_ERROR(groups->Create("trial", 1).status());
  rmdir((own + "/trial").c_str());
  return std::unique_ptr<env::CpuGroups>(std::move(groups));
}

}  // namespace tepal::runtime
