#include "serving/repository/local_repository.h"

#include <gtest/gtest.h>

#include "serving/repository/fingerprint.h"
#include "serving/repository/testing/in_memory_files.h"

namespace tepal {
namespace {

constexpr char kConfig[] = "backend: \"identity\" max_batch_size: 8\n";

class LocalRepositoryTest : public ::testing::Test {
 protected:
  std::unique_ptr<ModelRepository> Make(LocalRepositoryOptions options = {
                                            .paths = {"/a"},
                                            .config_name = "",
                                            .config_required = false}) {
    return NewLocalRepository(std::move(options), files_);
  }

  std::vector<ListedModel> Listed(ModelRepository& repository) {
    Result<std::vector<ListedModel>> models = repository.List();
    EXPECT_TRUE(models.ok()) << models.status().message();
    return models.ok() ? *std::move(models) : std::vector<ListedModel>();
  }

  testing::InMemoryFiles files_;
};

TEST_F(LocalRepositoryTest, ListsModelsWithTheirVersions) {
  files_.Put("/a/tulip/config.pbtxt", kConfig);
  files_.Put("/a/tulip/10/model.onnx", "x");
  files_.Put("/a/tulip/9/model.onnx", "x");
  files_.Put("/a/tulip/007/model.onnx", "x");
  files_.Put("/a/tulip/0/model.onnx", "x");
  files_.Put("/a/tulip/-1/model.onnx", "x");
  files_.Put("/a/tulip/v3/model.onnx", "x");
  files_.Put("/a/tulip/99999999999999999999/model.onnx", "x");
  files_.Put("/a/tulip/5", "a file, not a version");
  files_.Put("/a/rose/1/model.onnx", "x");
  files_.Put("/a/.git/config.pbtxt", "x");
  files_.Put("/a/README.md", "x");
  const auto models = Listed(*Make());
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0].name, "rose");
  EXPECT_EQ(models[0].versions, std::vector<int64_t>{1});
  EXPECT_EQ(models[1].name, "tulip");
  EXPECT_EQ(models[1].directory, "/a/tulip");
  EXPECT_EQ(models[1].versions, (std::vector<int64_t>{9, 10}));
  EXPECT_TRUE(models[1].error.ok());
}

TEST_F(LocalRepositoryTest, ABadModelDoesNotHideTheOthers) {
  files_.Put("/a/good/config.pbtxt", kConfig);
  ASSERT_TRUE(files_.MakeDirectories("/a/empty").ok());
  files_.Put("/a/locked/config.pbtxt", kConfig);
  files_.Break("/a/locked", Status(StatusCode::kPermissionDenied, "listing /a/locked: no"));
  const auto models = Listed(*Make());
  ASSERT_EQ(models.size(), 3u);
  EXPECT_EQ(models[0].error.message(), "/a/empty has neither config.pbtxt nor a version directory");
  EXPECT_TRUE(models[1].error.ok());
  EXPECT_EQ(models[2].error.code(), StatusCode::kPermissionDenied);
}

TEST_F(LocalRepositoryTest, AnUnreadableRepositoryIsAnErrorNotADeletion) {
  files_.Put("/a/good/config.pbtxt", kConfig);
  const auto repository =
      Make({.paths = {"/a", "/missing"}, .config_name = "", .config_required = false});
  const auto models = repository->List();
  ASSERT_FALSE(models.ok());
  EXPECT_EQ(models.status().message(),
            "model repository /missing: listing /missing: No such file or directory");
}

TEST_F(LocalRepositoryTest, ANameInTwoRepositoriesIsAnErrorForThatModel) {
  files_.Put("/a/tulip/1/model.onnx", "x");
  files_.Put("/a/rose/1/model.onnx", "x");
  files_.Put("/b/tulip/1/model.onnx", "x");
  const auto repository =
      Make({.paths = {"/a", "/b", "/a"}, .config_name = "", .config_required = false});
  const auto models = Listed(*repository);
  ASSERT_EQ(models.size(), 2u);
  EXPECT_TRUE(models[0].error.ok());
  const char* message =
      "model 'tulip' is not unique across all model repositories: it is in /a/tulip and /b/tulip";
  EXPECT_EQ(models[1].error.message(), message);
  EXPECT_EQ(repository->Open("tulip").status().message(), message);
  EXPECT_TRUE(repository->Open("rose").ok());
}

TEST_F(LocalRepositoryTest, OpensWhatThereIs) {
  files_.Put("/a/tulip/config.pbtxt", kConfig);
  files_.Put("/a/tulip/2/model.onnx", "x");
  files_.Put("/a/tulip/3/other", "x");
  const auto repository = Make();
  const auto model = repository->Open("tulip");
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_TRUE(model->has_config);
  EXPECT_EQ(FinishConfig(model->draft)->max_batch_size, 8);
  EXPECT_EQ(model->versions, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(model->version_files, std::vector<std::string>{"model.onnx"});
  EXPECT_EQ(model->VersionDirectory(3), "/a/tulip/3");

  files_.Put("/a/bare/1/model.onnx", "x");
  const auto bare = repository->Open("bare");
  ASSERT_TRUE(bare.ok());
  EXPECT_FALSE(bare->has_config);
}

TEST_F(LocalRepositoryTest, SaysWhatIsWrongWithAConfiguration) {
  files_.Put("/a/tulip/config.pbtxt", "max_batch_size: 8\nbackends: \"x\"\n");
  EXPECT_EQ(Make()->Open("tulip").status().message(),
            "config.pbtxt:2:1: Message type \"inference.ModelConfig\" has no field named "
            "\"backends\".");
}

TEST_F(LocalRepositoryTest, NamesStayInsideTheRepository) {
  files_.Put("/a/tulip/1/model.onnx", "x");
  files_.Put("/secret/1/model.onnx", "x");
  const auto repository = Make();
  for (const char* name : {"", ".", "..", "../secret", "tulip/1", "/secret", "missing"}) {
    EXPECT_EQ(repository->Open(name).status().code(), StatusCode::kNotFound) << name;
  }
  EXPECT_EQ(repository->Open("rose").status().message(),
            "model 'rose' is not in any model repository");
}

TEST_F(LocalRepositoryTest, PrefersTheNamedConfiguration) {
  files_.Put("/a/tulip/config.pbtxt", "max_batch_size: 1");
  files_.Put("/a/tulip/configs/h100.pbtxt", "max_batch_size: 2");
  files_.Put("/a/rose/config.pbtxt", "max_batch_size: 3");
  files_.Put("/a/lily/config.pbtxt", "max_batch_size: 4");
  files_.Put("/a/lily/configs/a100.pbtxt", "oops");
  const auto repository = Make({.paths = {"/a"}, .config_name = "h100", .config_required = false});
  EXPECT_EQ(FinishConfig(repository->Open("tulip")->draft)->max_batch_size, 2);
  EXPECT_EQ(FinishConfig(repository->Open("rose")->draft)->max_batch_size, 3);
  EXPECT_EQ(FinishConfig(repository->Open("lily")->draft)->max_batch_size, 4);
  files_.Put("/a/tulip/configs/h100.pbtxt", "oops");
  EXPECT_TRUE(repository->Open("tulip").status().message().starts_with("configs/h100.pbtxt:1:1: "));
}

TEST_F(LocalRepositoryTest, RequiresAConfigurationWhenNothingCompletesIt) {
  files_.Put("/a/tulip/1/model.onnx", "x");
  const auto repository = Make({.paths = {"/a"}, .config_name = "", .config_required = true});
  const char* message =
      "/a/tulip has no config.pbtxt, which --disable-auto-complete-config requires";
  EXPECT_EQ(Listed(*repository)[0].error.message(), message);
  EXPECT_EQ(repository->Open("tulip").status().message(), message);
}

TEST_F(LocalRepositoryTest, ReadsLabels) {
  files_.Put("/a/tulip/config.pbtxt", kConfig);
  files_.Put("/a/tulip/labels.txt", "rose\r\n\ntulip");
  files_.Put("/a/tulip/more/labels.txt", "x\n");
  files_.Put("/a/secret.txt", "x\n");
  const auto repository = Make();
  const auto model = repository->Open("tulip");
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(*repository->ReadLabels(*model, "labels.txt"),
            (std::vector<std::string>{"rose", "", "tulip"}));
  EXPECT_EQ(*repository->ReadLabels(*model, "more/labels.txt"), std::vector<std::string>{"x"});
  for (const char* path : {"../secret.txt", "/a/secret.txt", "", "more/../labels.txt"}) {
    EXPECT_EQ(repository->ReadLabels(*model, path).status().code(), StatusCode::kInvalidArgument)
        << path;
  }
  EXPECT_EQ(repository->ReadLabels(*model, "none.txt").status().message(),
            "labels of model 'tulip': reading /a/tulip/none.txt: No such file or directory");
}

TEST_F(LocalRepositoryTest, TheFingerprintFollowsTheFiles) {
  files_.Put("/a/tulip/config.pbtxt", kConfig);
  files_.Put("/a/tulip/1/model.onnx", "x");
  const auto repository = Make();
  const auto fingerprint = [&] { return Listed(*repository)[0].fingerprint; };
  uint64_t last = fingerprint();
  EXPECT_EQ(fingerprint(), last);
  const auto changed = [&](const char* what) {
    const uint64_t now = fingerprint();
    EXPECT_NE(now, last) << what;
    last = now;
  };
  files_.Touch("/a/tulip/1/model.onnx");
  changed("a file written again");
  files_.Put("/a/tulip/2/model.onnx", "x");
  changed("a new version");
  ASSERT_TRUE(files_.Remove("/a/tulip/2").ok());
  changed("a version gone");
  ASSERT_TRUE(files_.MakeDirectories("/a/tulip/3").ok());
  changed("an empty version");
}

TEST(ParseVersionTest, OnlyPlainPositiveNumbers) {
  EXPECT_EQ(ParseVersion("1"), 1);
  EXPECT_EQ(ParseVersion("20260701"), 20260701);
  for (const char* name : {"", "0", "01", "-1", "+1", "1a", " 1", "9223372036854775808"}) {
    EXPECT_EQ(ParseVersion(name), std::nullopt) << name;
  }
}

TEST_F(LocalRepositoryTest, OpensFilesThatAClientSent) {
  files_.Put("/a/tulip/config.pbtxt", kConfig);
  files_.Put("/a/tulip/3/model.onnx", "x");
  const auto repository = Make({.paths = {"/a"},
                                .config_name = "",
                                .config_required = false,
                                .staging_directory = "/staging"});
  std::string directory;
  {
    auto opened = repository->OpenFiles(
        "tulip", {{"1/model.onnx", "one"}, {"2/weights/w", "two"}, {"labels.txt", "a\nb"}});
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    EXPECT_EQ(opened->versions, (std::vector<int64_t>{1, 2}));
    EXPECT_EQ(opened->version_files, std::vector<std::string>{"model.onnx"});
    EXPECT_FALSE(opened->has_config);  // Nothing of the repository's own model is used.
    directory = opened->directory;
    EXPECT_TRUE(directory.starts_with("/staging/"));
    EXPECT_EQ(*files_.Read(directory + "/2/weights/w", 100), "two");
    EXPECT_EQ(repository->ReadLabels(*opened, "labels.txt")->size(), 2u);
    const auto again = repository->OpenFiles("tulip", {{"1/model.onnx", "other"}});
    ASSERT_TRUE(again.ok());
    EXPECT_NE(again->directory, directory);  // A reload does not touch what is in use.
  }
  EXPECT_FALSE(files_.Stat(directory + "/1/model.onnx").ok());
}

TEST_F(LocalRepositoryTest, FilesOfAClientStayInTheirDirectory) {
  const auto repository = Make({.paths = {"/a"},
                                .config_name = "",
                                .config_required = false,
                                .staging_directory = "/staging"});
  for (const char* path : {"../x", "/etc/passwd", "1/../../x", "", "1//x", "1/."}) {
    EXPECT_EQ(repository->OpenFiles("tulip", {{path, "x"}}).status().code(),
              StatusCode::kInvalidArgument)
        << path;
  }
  for (const char* name : {"..", "a/b", ""}) {
    EXPECT_EQ(repository->OpenFiles(name, {{"1/m", "x"}}).status().code(),
              StatusCode::kInvalidArgument)
        << name;
  }
  EXPECT_EQ(Make()->OpenFiles("tulip", {{"1/m", "x"}}).status().code(), StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace tepal
