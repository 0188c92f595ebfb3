#include "serving/lifecycle/model_manager.h"

#include <gtest/gtest.h>

#include "serving/lifecycle/fakes_test.h"

namespace tepal {
namespace {

class ModelManagerTest : public ::testing::Test {
 protected:
  void Add(const std::string& name, std::vector<int64_t> versions = {1},
           const std::string& more = "") {
    (*repository_->models.Lock())[name] = {AddSubConfig(name) + more, std::move(versions), 1, {}};
  }
  Status Start() {
    auto started =
        ModelManager::Start(options_, std::make_unique<FakeRepository>(repository_),
                            std::make_unique<FakeLoader>(loader_), {world_.clock, world_.threads});
    if (!started.ok()) return started.status();
    manager_ = *std::move(started);
    return {};
  }
  std::string IndexText() {
    std::string text;
    const auto index = manager_->Index(false);
    EXPECT_TRUE(index.ok());
    for (const ModelIndexEntry& entry : *index) {
      text += Concat(entry.name, ":", entry.version, ":", entry.state, ":", entry.reason, "\n");
    }
    return text;
  }
  std::shared_ptr<FakeSink> Send(const std::string& model) {
    auto sink = std::make_shared<FakeSink>();
    auto request = std::make_unique<InferenceRequest>();
    request->sink = sink;
    const auto found = manager_->Find(model, -1);
    EXPECT_TRUE(found.ok());
    EXPECT_TRUE((*found)->scheduler().Enqueue(std::move(request)).ok());
    return sink;
  }

  FakeWorld world_;
  std::shared_ptr<FakeRepositoryState> repository_ = std::make_shared<FakeRepositoryState>();
  FakeLoaderState loader_;
  ModelManager::Options options_;
  std::unique_ptr<ModelManager> manager_;
};

TEST_F(ModelManagerTest, AnEmptyRepositoryIsReady) {
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(manager_->AllReady());
  EXPECT_EQ(IndexText(), "");
  EXPECT_EQ(manager_->Find("nope", -1).status().message(),
            "Request for unknown model: 'nope' is not found");
}

TEST_F(ModelManagerTest, LoadsEverythingAtStart) {
  for (int i = 0; i < 10; ++i) Add(Concat("m", i));
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(loader_.alive, 10);
  EXPECT_EQ(manager_->Served({}, -1).size(), 10u);
  EXPECT_TRUE(manager_->AllReady());
  EXPECT_TRUE(manager_->Stop(10s).ok());
  EXPECT_EQ(loader_.alive, 0);
}

TEST_F(ModelManagerTest, FindsVersionsByNumberAndTheNewestByDefault) {
  Add("m", {1, 3, 7}, "version_policy { all {} }");
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ((*manager_->Find("m", -1))->version(), 7);
  EXPECT_EQ((*manager_->Find("m", 3))->version(), 3);
  const Status unknown = manager_->Find("m", 9).status();
  EXPECT_EQ(unknown.code(), StatusCode::kNotFound);
  EXPECT_EQ(unknown.message(), "Request for unknown model: 'm' version 9 is not found");
  EXPECT_EQ(manager_->Served("m", -1).size(), 3u);
  EXPECT_EQ(manager_->Served("m", 3).size(), 1u);
}

TEST_F(ModelManagerTest, LabelsComeFromTheModelsFile) {
  Add("m");
  ASSERT_TRUE(Start().ok());
  const auto model = *manager_->Find("m", -1);
  EXPECT_EQ(model->Label("OUTPUT0", 1), "rose");
  EXPECT_EQ(model->Label("OUTPUT0", 2), "");
  EXPECT_EQ(model->Label("OUTPUT1", 0), "");
}

TEST_F(ModelManagerTest, StartNamesEachModelThatFails) {
  Add("bad1");
  Add("bad2");
  Add("good");
  (*repository_->models.Lock())["torn"].error = InvalidArgument("no version directory");
  loader_.on_load = [](const std::string& model, int64_t) {
    return model == "good" ? Status() : InvalidArgument("corrupt file");
  };
  const Status failed = Start();
  EXPECT_EQ(failed.message(),
            "failed to load all models:\n  'bad1': version 1: corrupt file\n"
            "  'bad2': version 1: corrupt file\n  'torn': no version directory");
  EXPECT_EQ(loader_.alive, 0);

  options_.exit_on_error = false;
  ASSERT_TRUE(Start().ok());
  EXPECT_FALSE(manager_->AllReady());
  EXPECT_EQ(IndexText(),
            "bad1:1:UNAVAILABLE:corrupt file\n"
            "bad2:1:UNAVAILABLE:corrupt file\ngood:1:READY:\n"
            "torn:0:UNAVAILABLE:no version directory\n");
  EXPECT_EQ(manager_->Find("bad1", 1).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(manager_->Find("bad1", -1).status().message(),
            "Request for unknown model: 'bad1' has no available versions");
}

TEST_F(ModelManagerTest, AVersionThatFailsIsTriedAgainAsOftenAsAsked) {
  Add("m");
  std::atomic<int> tries{0};
  loader_.on_load = [&](const std::string&, int64_t) {
    return ++tries < 3 ? Internal("not yet") : Status();
  };
  options_.load_retries = 1;
  EXPECT_FALSE(Start().ok());
  EXPECT_EQ(tries, 2);
  tries = 0;
  options_.load_retries = 2;
  EXPECT_TRUE(Start().ok());
  EXPECT_EQ(tries, 3);
  EXPECT_TRUE(manager_->AllReady());
}

TEST_F(ModelManagerTest, ARepositoryThatCannotBeReadFailsStart) {
  repository_->broken = true;
  EXPECT_EQ(Start().message(), "the disk is gone");
}

TEST_F(ModelManagerTest, ExplicitModeLoadsWhatIsAskedFor) {
  Add("a");
  Add("b");
  options_.control_mode = ModelControlMode::kExplicit;
  options_.startup_models = {"a"};
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(IndexText(), "a:1:READY:\nb:0::\n");
  EXPECT_TRUE(manager_->Load("b", {}).ok());
  EXPECT_TRUE(manager_->Unload("a").ok());
  EXPECT_EQ(IndexText(), "a:1:UNAVAILABLE:unloaded\nb:1:READY:\n");
  EXPECT_TRUE(manager_->AllReady()) << "unloaded on purpose does not spoil readiness";
  EXPECT_TRUE(manager_->Unload("nope").ok());
  EXPECT_EQ(manager_->Load("nope", {}).message(),
            "failed to load 'nope', failed to poll from model repository");
  const auto ready = *manager_->Index(true);
  ASSERT_EQ(ready.size(), 1u);
  EXPECT_EQ(ready[0].name, "b");
}

TEST_F(ModelManagerTest, AStartupModelThatIsNotThereFailsStart) {
  options_.control_mode = ModelControlMode::kExplicit;
  options_.startup_models = {"ghost"};
  EXPECT_NE(Start().message().find("'ghost': no model of this name"), std::string::npos);
}

TEST_F(ModelManagerTest, TheOtherModesRefuseToLoadAndUnload) {
  Add("a");
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(manager_->Load("a", {}).code(), StatusCode::kUnavailable);
  EXPECT_EQ(manager_->Unload("a").message(),
            "explicit model load / unload is not allowed if polling is enabled");
}

TEST_F(ModelManagerTest, AReloadThatFailsKeepsWhatServes) {
  Add("a");
  options_.control_mode = ModelControlMode::kExplicit;
  options_.startup_models = {"*"};
  ASSERT_TRUE(Start().ok());
  const auto before = *manager_->Find("a", -1);
  loader_.on_load = [](const std::string&, int64_t) { return Internal("out of memory"); };
  EXPECT_EQ(manager_->Load("a", {}).message(), "failed to load 'a': version 1: out of memory");
  EXPECT_EQ(*manager_->Find("a", -1), before);
  EXPECT_TRUE(manager_->AllReady());
  EXPECT_EQ(manager_->Load("a", "{nope").code(), StatusCode::kInternal);
  EXPECT_EQ(*manager_->Find("a", -1), before);
}

TEST_F(ModelManagerTest, OneVersionThatFailsHoldsBackTheOthers) {
  Add("a", {1, 2, 3}, "version_policy { all {} }");
  options_.exit_on_error = false;
  loader_.on_load = [](const std::string&, int64_t version) {
    return version == 2 ? Internal("out of memory") : Status();
  };
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(IndexText(),
            "a:1:UNAVAILABLE:not loaded: version 2: out of memory\n"
            "a:2:UNAVAILABLE:out of memory\n"
            "a:3:UNAVAILABLE:not loaded: version 2: out of memory\n");
  EXPECT_EQ(loader_.alive, 0);
}

TEST_F(ModelManagerTest, AConfigurationGivenWithTheLoadIsUsed) {
  Add("a");
  options_.control_mode = ModelControlMode::kExplicit;
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(manager_
                  ->Load("a", R"({"name":"a","backend":"fake","max_batch_size":4,
      "version_policy":{"latest":{"num_versions":1}}})")
                  .ok());
  EXPECT_EQ((*manager_->Find("a", -1))->config().max_batch_size, 4);
  ASSERT_TRUE(manager_->Load("a", {}).ok());
  EXPECT_EQ((*manager_->Find("a", -1))->config().max_batch_size, 0);
}

TEST_F(ModelManagerTest, ANewVersionTakesOverAndTheOldOneDrains) {
  Add("a");
  options_.control_mode = ModelControlMode::kExplicit;
  options_.startup_models = {"*"};
  Gate entered, leave;
  std::atomic<int> executions{0};
  loader_.runs_inline = false;
  loader_.execute = [&](Batch batch) {
    if (executions++ == 0) {
      entered.Open();
      leave.Wait();
    }
    AnswerAll(std::move(batch));
  };
  ASSERT_TRUE(Start().ok());
  const auto old_request = Send("a");
  entered.Wait();
  Add("a", {1, 2});
  std::thread reload([&] { EXPECT_TRUE(manager_->Load("a", {}).ok()); });
  while ((*manager_->Find("a", -1))->version() != 2) std::this_thread::yield();
  EXPECT_EQ(Send("a")->Wait().status.code(), StatusCode::kOk);  // The new one serves already.
  EXPECT_EQ(old_request->finals(), 0);
  EXPECT_EQ(loader_.alive, 2);
  EXPECT_EQ(manager_->in_flight(), 1);
  leave.Open();
  reload.join();
  EXPECT_EQ(old_request->finals(), 1);
  EXPECT_EQ(loader_.alive, 1);
  EXPECT_EQ(IndexText(), "a:1:UNAVAILABLE:unloaded\na:2:READY:\n");
}

TEST_F(ModelManagerTest, StopGivesUpAtItsLimitAndGoesOn) {
  Add("a");
  Gate entered, leave;
  loader_.runs_inline = false;
  loader_.execute = [&](Batch batch) {
    entered.Open();
    leave.Wait();
    AnswerAll(std::move(batch));
  };
  ASSERT_TRUE(Start().ok());
  const auto sink = Send("a");
  entered.Wait();
  const Status late = manager_->Stop(1ms);
  EXPECT_EQ(late.code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(late.message(), "stopping took longer than 1 ms; 1 requests are in flight");
  leave.Open();
  EXPECT_TRUE(manager_->Stop(10s).ok());
  EXPECT_EQ(sink->finals(), 1);
  EXPECT_EQ(loader_.alive, 0);
}

TEST_F(ModelManagerTest, TheIndexForgetsWhatIsUnloadedAndNotInTheRepository) {
  Add("a");
  Add("b");
  options_.control_mode = ModelControlMode::kExplicit;
  options_.startup_models = {"*"};
  ASSERT_TRUE(Start().ok());
  repository_->models.Lock()->erase("b");
  EXPECT_EQ(IndexText(), "a:1:READY:\nb:1:READY:\n");
  ASSERT_TRUE(manager_->Unload("a").ok() && manager_->Unload("b").ok());
  EXPECT_EQ(IndexText(), "a:1:UNAVAILABLE:unloaded\n");
}

TEST_F(ModelManagerTest, PollingFollowsTheRepository) {
  Add("a");
  options_.control_mode = ModelControlMode::kPoll;
  options_.poll_interval = 1ms;
  ASSERT_TRUE(Start().ok());
  Add("b");
  while (!manager_->Find("b", -1).ok()) std::this_thread::yield();
  const int before = loader_.loaded;
  (*repository_->models.Lock())["a"].fingerprint = 2;
  while (loader_.loaded == before) std::this_thread::yield();
  repository_->broken = true;  // An outage is not a deletion.
  const int listings = repository_->listings;
  while (repository_->listings < listings + 3) std::this_thread::yield();
  EXPECT_TRUE(manager_->Find("b", -1).ok());
  repository_->broken = false;
  repository_->models.Lock()->erase("b");
  while (manager_->Find("b", -1).ok()) std::this_thread::yield();
  EXPECT_TRUE(manager_->Find("a", -1).ok());
}

// Requests while the model is reloaded again and again: each is answered once, none is refused for
// the swap.
TEST_F(ModelManagerTest, ReloadsUnderLoadLoseNothing) {
  for (const bool runs_inline : {true, false}) {
    Add("a");
    options_.control_mode = ModelControlMode::kExplicit;
    options_.startup_models = {"*"};
    loader_.runs_inline = runs_inline;
    ASSERT_TRUE(Start().ok());
    std::atomic<bool> done{false};
    std::vector<std::thread> senders;
    for (int t = 0; t < 2; ++t) {
      senders.emplace_back([&] {
        while (!done) {
          auto sink = std::make_shared<FakeSink>();
          auto request = std::make_unique<InferenceRequest>();
          request->sink = sink;
          Status status;
          do {
            const auto found = manager_->Find("a", -1);
            ASSERT_TRUE(found.ok()) << "there must always be one that serves";
            status = (*found)->scheduler().Enqueue(std::move(request));
            ASSERT_TRUE(status.ok() || (*found)->scheduler().stopping());
          } while (!status.ok());
          EXPECT_TRUE(sink->Wait().status.ok());
        }
      });
    }
    for (int i = 0; i < 50; ++i) EXPECT_TRUE(manager_->Load("a", {}).ok());
    done = true;
    for (std::thread& sender : senders) sender.join();
    EXPECT_EQ(loader_.alive, 1);
    EXPECT_TRUE(manager_->Stop(10s).ok());
    manager_.reset();
  }
}

}  // namespace
}  // namespace tepal
