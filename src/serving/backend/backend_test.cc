#include "serving/backend/backend.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "serving/backend/backend_metrics.h"
#include "serving/backend/testing/host_fixture.h"

namespace tepal {
namespace {

using ::testing::HasSubstr;

// A folder that is gone at the end of the test.
class Folder {
 public:
  Folder() {
    std::string name = ::testing::TempDir() + "tepal_backend_XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(BackendManager, SaysWhereItLookedForAMissingPlugin) {
  BackendManager manager({{"/nowhere"}, {}, true});
  const Status status = manager.Get("nope", {"/models/m/1"}).status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_EQ(status.message(),
            "unable to find libtriton_nope.so for backend 'nope', tried "
            "/models/m/1/libtriton_nope.so, /nowhere/nope/libtriton_nope.so, "
            "/nowhere/libtriton_nope.so");
}

TEST(BackendManager, RefusesANameThatLeavesTheFolder) {
  BackendManager manager({{"/nowhere"}, {}, true});
  EXPECT_EQ(manager.Get("../x", {}).status().code(), StatusCode::kInvalidArgument);
}

TEST(BackendManager, SaysWhichFileIsNoLibrary) {
  const Folder folder;
  std::ofstream(folder.path() + "/libtriton_text.so") << "not a library";
  BackendManager manager({{folder.path()}, {}, true});
  const Status status = manager.Get("text", {}).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr(folder.path() + "/libtriton_text.so"));
}

TEST(BackendManager, SaysWhichFunctionIsMissing) {
  const Folder folder;
  std::filesystem::create_symlink("/lib/x86_64-linux-gnu/libm.so.6",
                                  folder.path() + "/libtriton_math.so");
  BackendManager manager({{folder.path()}, {}, true});
  EXPECT_THAT(manager.Get("math", {}).status().message(),
              HasSubstr("lacks the required function TRITONBACKEND_ModelInstanceExecute"));
}

TEST(BackendManager, PassesOnWhyABackendDoesNotInitialise) {
  BackendManager manager(
      {{testing::PluginDirectory()}, {{"probe", {{"fail_initialise", "no luck"}}}}, true});
  const Status status = manager.Get("probe", {}).status();
  EXPECT_THAT(status.message(), HasSubstr("initialising backend 'probe' from "));
  EXPECT_THAT(status.message(), HasSubstr(": no luck"));
}

Status LoadPlugin(const std::string& name, const BackendSettings& settings = {}) {
  BackendManager manager({{testing::PluginDirectory()}, {{name, settings}}, true});
  return manager.Get(name, {}).status();
}

TEST(BackendManager, SaysWhatABackendThrewAsItStarted) {
  EXPECT_THAT(LoadPlugin("probe", {{"throw_initialise", "bad luck"}}).message(),
              HasSubstr("the backend 'probe' threw in TRITONBACKEND_Initialize: bad luck"));
}

TEST(BackendManager, SaysWhichInterfaceABackendNeeds) {
  EXPECT_THAT(LoadPlugin("probe", {{"need_api_major", "2"}}).message(),
              HasSubstr("the server offers TRITONBACKEND API 1.19, the backend needs 2.19"));
}

TEST(BackendManager, SaysWhichLibraryABackendLacks) {
  const std::string message = LoadPlugin("broken_library").message();
  EXPECT_THAT(message, HasSubstr("unable to load shared library of backend 'broken_library', "));
  EXPECT_THAT(message, HasSubstr("libtepal_absent.so: cannot open shared object file"));
}

TEST(BackendManager, SaysWhichFunctionABackendExpects) {
  EXPECT_THAT(LoadPlugin("broken_function").message(),
              HasSubstr("undefined symbol: TRITONBACKEND_OfTheFuture (this server offers version "
                        "1.19 of the backend interface)"));
}

// Nothing can be answered then; the log's last line names the plugin.
TEST(BackendManagerDeathTest, ABackendThatEndsTheProcessIsTheLastOneNamed) {
  EXPECT_DEATH((void)LoadPlugin("probe", {{"abort_initialise", "now"}}),
               "loading backend 'probe' from .*/probe/libtriton_probe.so");
  // AddressSanitizer's dlopen would let the exception through to the test.
  const auto load = []() noexcept { (void)LoadPlugin("broken_start"); };
  EXPECT_DEATH(load(), "loading backend 'broken_start' from ");
}

TEST(BackendManager, FindsAVersionInItsFolder) {
  const Folder folder;
  std::filesystem::create_directories(folder.path() + "/identity/7");
  std::filesystem::copy(testing::PluginDirectory() + "/identity/libtriton_identity.so",
                        folder.path() + "/identity/7/libtriton_identity.so");
  const auto get = [&](const std::string& version) {
    BackendManager manager({{folder.path()}, {{"identity", {{"version", version}}}}, true});
    return manager.Get("identity", {}).status();
  };
  EXPECT_TRUE(get("7").ok()) << get("7").ToString();
  EXPECT_THAT(get("8").message(), HasSubstr("tried " + folder.path() + "/identity/8/"));
}

TEST(BackendManager, LoadsOneFileOnce) {
  const Folder folder;
  std::filesystem::create_symlink(testing::PluginDirectory() + "/identity/libtriton_identity.so",
                                  folder.path() + "/own.so");
  BackendManager manager({{testing::PluginDirectory()}, {}, true});
  const auto own = manager.Get("identity", {folder.path()}, "own.so");
  ASSERT_TRUE(own.ok()) << own.status().ToString();
  EXPECT_EQ(*own, *manager.Get("identity", {}));
}

TEST(BackendManager, KeepsWhatItHasLoaded) {
  BackendManager manager({{testing::PluginDirectory()}, {}, true});
  const auto first = manager.Get("identity", {});
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  EXPECT_EQ(*first, *manager.Get("identity", {}));
}

TEST(BackendManager, LoadsAPluginThatWasLinkedWithTritonsLibrary) {
  BackendManager manager({{testing::PluginDirectory()}, {}, true});
  const auto library = manager.Get("linked", {});
  EXPECT_TRUE(library.ok()) << library.status().ToString();
}

TEST(BackendManager, PrefersTheModelsOwnPlugin) {
  const Folder folder;
  std::filesystem::copy(testing::PluginDirectory() + "/add_sub/libtriton_add_sub.so",
                        folder.path() + "/libtriton_identity.so");
  BackendManager manager({{testing::PluginDirectory()}, {}, true});
  EXPECT_EQ((*manager.Get("identity", {folder.path()}))->path(),
            folder.path() + "/libtriton_identity.so");
}

TEST(BackendManager, OwnSettingsComeBeforeThoseForAll) {
  BackendManager manager(
      {{"/b"}, {{"", {{"x", "all"}, {"y", "all"}}}, {"p", {{"x", "own"}}}}, true});
  const BackendSettings settings = manager.SettingsFor("p");
  EXPECT_EQ(settings.at("x"), "own");
  EXPECT_EQ(settings.at("y"), "all");
  EXPECT_EQ(settings.at("default-max-batch-size"), "4");
  EXPECT_EQ(settings.at("auto-complete-config"), "true");
  EXPECT_EQ(settings.at("backend-directory"), "/b");
}

TEST(BackendMetrics, CountersHistogramsAndTheirRules) {
  TRITONSERVER_MetricFamily* family = nullptr;
  ASSERT_EQ(TRITONSERVER_MetricFamilyNew(&family, TRITONSERVER_METRIC_KIND_HISTOGRAM, "probe_ms",
                                         "Of a test"),
            nullptr);
  TRITONSERVER_MetricArgs* args = nullptr;
  ASSERT_EQ(TRITONSERVER_MetricArgsNew(&args), nullptr);
  const double bounds[] = {1, 5};
  ASSERT_EQ(TRITONSERVER_MetricArgsSetHistogram(args, bounds, 2), nullptr);
  TRITONSERVER_Parameter* label =
      TRITONSERVER_ParameterNew("model", TRITONSERVER_PARAMETER_STRING, "m");
  const TRITONSERVER_Parameter* labels[] = {label};
  TRITONSERVER_Metric* metric = nullptr;
  ASSERT_EQ(TRITONSERVER_MetricNewWithArgs(&metric, family, labels, 1, args), nullptr);
  for (const double value : {0.5, 1.0, 7.0}) {
    ASSERT_EQ(TRITONSERVER_MetricObserve(metric, value), nullptr);
  }
  TRITONSERVER_Error* early = TRITONSERVER_MetricFamilyDelete(family);
  ASSERT_NE(early, nullptr);
  EXPECT_THAT(TRITONSERVER_ErrorMessage(early), HasSubstr("before its metrics"));
  TRITONSERVER_ErrorDelete(early);
  TRITONSERVER_Error* wrong = TRITONSERVER_MetricIncrement(metric, 1);
  ASSERT_NE(wrong, nullptr);
  EXPECT_EQ(TRITONSERVER_ErrorCode(wrong), TRITONSERVER_ERROR_UNSUPPORTED);
  TRITONSERVER_ErrorDelete(wrong);

  telemetry::PrometheusWriter writer;
  CollectBackendMetrics(writer);
  const std::string page = writer.Take();
  EXPECT_THAT(page, HasSubstr("probe_ms_bucket{model=\"m\",le=\"1\"} 2"));
  EXPECT_THAT(page, HasSubstr("probe_ms_bucket{model=\"m\",le=\"+Inf\"} 3"));
  EXPECT_THAT(page, HasSubstr("probe_ms_sum{model=\"m\"} 8.5"));

  EXPECT_EQ(TRITONSERVER_MetricDelete(metric), nullptr);
  EXPECT_EQ(TRITONSERVER_MetricFamilyDelete(family), nullptr);
  EXPECT_EQ(TRITONSERVER_MetricArgsDelete(args), nullptr);
  TRITONSERVER_ParameterDelete(label);
}

TEST(Unsupported, NamesTheFunction) {
  TRITONSERVER_Error* error = TRITONSERVER_ServerInferAsync(nullptr, nullptr, nullptr);
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(TRITONSERVER_ErrorCode(error), TRITONSERVER_ERROR_UNSUPPORTED);
  EXPECT_THAT(TRITONSERVER_ErrorMessage(error), HasSubstr("TRITONSERVER_ServerInferAsync"));
  TRITONSERVER_ErrorDelete(error);
}

}  // namespace
}  // namespace tepal
