// The recipe as it was published, where the machine has it (TEPAL_RECIPE names its folder): every
// fault that is known of it is found.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "apps/diagnosis/check_manifests.h"
#include "apps/diagnosis/fix_manifests.h"
#include "core/base/text.h"

namespace tepal::diagnosis {
namespace {

std::vector<InputFile> Recipe() {
  std::vector<InputFile> files;
  const char* const folder = std::getenv("TEPAL_RECIPE");
  if (folder == nullptr) return files;
  std::set<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.insert(entry.path());
  for (const auto& path : paths) {
    if (path.filename() == "README.md") continue;  // Not of the recipe.
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    files.push_back({path.filename().string(), text.str()});
  }
  return files;
}

TEST(RecipeTest, EveryFaultIsFound) {
  const std::vector<InputFile> files = Recipe();
  if (files.empty()) GTEST_SKIP() << "TEPAL_RECIPE is not set";
  std::set<std::string> found;
  for (const Finding& finding : CheckManifests(files)) {
    found.insert(Concat(finding.place, ":", finding.line, " ", finding.code));
  }
  for (const char* const expected : {"custom-metrics-server-apiservice.yml:1 removed-api",
                                     "custom-metrics-server-apiservice.yml:6 insecure-tls",
                                     "custom-metrics-server-config.yml:20 not-yaml",
                                     "custom-metrics-server-config.yml:19 not-yaml",
                                     "custom-metrics-server-config.yml:19 lost-template",
                                     "custom-metrics-server-config.yml:19 delta-of-counter",
                                     "custom-metrics-server-config.yml:19 mean-of-ratios",
                                     "custom-metrics-server-config.yml:19 short-window",
                                     "custom-metrics-server-deployment.yml:7 label-typo",
                                     "custom-metrics-server-deployment.yml:17 adapter-rights",
                                     "custom-metrics-server-deployment.yml:20 dead-image",
                                     "custom-metrics-server-deployment.yml:23 blank",
                                     "custom-metrics-server-deployment.yml:25 verbose",
                                     "custom-metrics-server-deployment.yml:19 no-probes",
                                     "custom-metrics-server-deployment.yml:19 not-restricted",
                                     "flower-hpa.yml:1 removed-api",
                                     "flower-hpa.yml:7 removed-api",
                                     "flower-hpa.yml:15 unknown-metric",
                                     "flower-hpa.yml:16 target-unit",
                                     "flower-pod-monitor.yml:17 not-yaml",
                                     "flower-replicas3.yml:7 surge-deadlock",
                                     "flower-replicas3.yml:8 replicas-and-hpa",
                                     "flower-replicas3.yml:20 blank",
                                     "flower-replicas3.yml:21 blank",
                                     "flower-replicas3.yml:22 writable-volume",
                                     "flower-replicas3.yml:24 no-probes",
                                     "flower-replicas3.yml:24 no-prestop",
                                     "flower-replicas3.yml:24 not-restricted",
                                     "flower-replicas3.yml:32 old-image",
                                     "flower-replicas3.yml:37 missing-and",
                                     "flower-replicas3.yml:37 deprecated-flag",
                                     "flower-replicas3.yml:38 no-requests",
                                     "flower-service-nginx.yml:7 wrong-case",
                                     "flower-service.yml:15 grpc-at-layer-4",
                                     "flower-service.yml:19 public-metrics",
                                     "nginx.conf:1 blank",
                                     "nginx.conf:4 blank",
                                     "nginx.conf:9 blank",
                                     "nginx.conf:8 nginx-fault",
                                     "nginx.conf:7 nginx-fault",
                                     "nginx.conf:38 open-admin",
                                     "nginxplus-rc.yml:2 legacy-kind",
                                     "nginxplus-rc.yml:21 sleep-as-pid-1",
                                     "nginxplus-rc.yml:23 dead-image",
                                     "nginxplus-rc.yml:34 dead-port",
                                     "nginxplus-rc.yml:42 blank",
                                     "nginxplus-rc.yml:43 blank",
                                     "nginxplus-rc.yml:44 writable-volume",
                                     "nginxplus-rc.yml:19 no-probes",
                                     "nginxplus-rc.yml:19 no-prestop"}) {
    EXPECT_TRUE(found.erase(expected)) << expected;
  }
  std::set<std::string> prose;
  for (auto one = found.begin(); one != found.end();) {
    const bool of_text = one->starts_with("recipe.zh.txt:");
    if (of_text) prose.insert(one->substr(one->find(' ') + 1));
    one = of_text ? found.erase(one) : std::next(one);
  }
  EXPECT_EQ(prose, (std::set<std::string>{"blank", "file-name", "permissive-binding"}));
  EXPECT_THAT(found, ::testing::IsSubsetOf({"nginxplus-rc.yml:19 not-restricted"}));
}

TEST(RecipeTest, PutRightItHasNoFault) {
  const std::vector<InputFile> files = Recipe();
  if (files.empty()) GTEST_SKIP() << "TEPAL_RECIPE is not set";
  std::vector<InputFile> fixed;
  for (const FixedFile& file : FixManifests(files, {}).files)
    fixed.push_back({file.path, file.text});
  std::string left;
  for (const Finding& finding : CheckManifests(fixed)) {
    if (finding.severity != Severity::kNote) left += FindingText(finding);
  }
  EXPECT_EQ(left, "");
  for (const FixedFile& file : FixManifests(fixed, {}).files)
    EXPECT_FALSE(file.changed) << file.path;
}

}  // namespace
}  // namespace tepal::diagnosis
