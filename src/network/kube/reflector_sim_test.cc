// The reflector and the decoder against a model of the API server: watches cut at any byte, events
// sent twice, histories compacted away, lists that fail. In the end the copy is the truth, and the
// changes told on the way lead to it.

#include "network/kube/reflector.h"

#include <gtest/gtest.h>

#include "core/base/text.h"

namespace tepal::kube {
namespace {

// Objects of one kind, their history, and what a watch from a version would send.
class ModelServer {
 public:
  explicit ModelServer(env::Random& random) : random_(random) {}

  void Mutate() {
    const std::string name = Concat("o", random_.Below(8));
    const bool there = objects_.contains(name);
    ++version_;
    if (there && random_.Below(3) == 0) {
      objects_.erase(name);
      history_.push_back({version_, "DELETED", name});
    } else {
      objects_[name] = version_;
      history_.push_back({version_, there ? "MODIFIED" : "ADDED", name});
    }
  }
  void Compact() { oldest_ = version_ - std::min<uint64_t>(version_, random_.Below(3)); }

  std::vector<json::Value> List() const {
    std::vector<json::Value> list;
    for (const auto& [name, version] : objects_) list.push_back(ObjectOf(name, version));
    return list;
  }
  std::string version() const { return Concat(version_); }

  // False: the version is gone. Otherwise the bytes of the events after it, some of them twice.
  bool Watch(const std::string& from, std::string& bytes) {
    const uint64_t after = *ParseNumber<uint64_t>(from);
    if (after < oldest_) return false;
    for (const Event& event : history_) {
      if (event.version <= after) continue;
      const std::string line = Concat("{\"type\":\"", event.type,
                                      "\",\"object\":", TextOf(event.name, event.version), "}\n");
      bytes += line;
      if (random_.Below(4) == 0) bytes += line;
    }
    if (random_.Below(3) == 0) {
      bytes += Concat("{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"",
                      version_, "\"}}}\n");
    }
    return true;
  }
  const std::map<std::string, uint64_t>& objects() const { return objects_; }

 private:
  struct Event {
    uint64_t version;
    std::string type, name;
  };
  static std::string TextOf(const std::string& name, uint64_t version) {
    return Concat("{\"metadata\":{\"name\":\"", name, "\",\"resourceVersion\":\"", version, "\"}}");
  }
  static json::Value ObjectOf(const std::string& name, uint64_t version) {
    return json::Parse(TextOf(name, version)).value();
  }

  env::Random& random_;
  std::map<std::string, uint64_t> objects_;
  std::vector<Event> history_;
  uint64_t version_ = 10;
  uint64_t oldest_ = 0;
};

class Scenario {
 public:
  explicit Scenario(uint64_t seed) : random_(seed), server_(random_), reflector_({}, random_) {}

  void Go() {
    for (int round = 0; round < 300; ++round) {
      faults_ = round < 250;
      if (faults_) {
        for (uint64_t i = random_.Below(4); i > 0; --i) server_.Mutate();
        if (random_.Below(10) == 0) server_.Compact();
      }
      Step();
      if (testing::Test::HasFailure()) return;
    }
    // Quiet now: the copy must be the truth.
    ASSERT_TRUE(reflector_.synced());
    EXPECT_EQ(Copy(), server_.objects());
    EXPECT_EQ(told_, server_.objects());
    EXPECT_TRUE(reflector_.trouble().ok()) << reflector_.trouble().message();
  }

 private:
  void Step() {
    if (const auto when = reflector_.NextDeadline()) now_ = std::max(now_, *when);
    const Reflector::Step step = reflector_.NextStep(now_);
    now_ += Duration(static_cast<int64_t>(random_.Below(3'000'000'000)));
    if (step.kind == Reflector::Step::Kind::kList) return List();
    ASSERT_EQ(step.kind, Reflector::Step::Kind::kWatch);
    Watch(step.resource_version);
  }

  void List() {
    if (faults_ && random_.Below(4) == 0) {
      const Instant failed = now_;
      reflector_.OnListFailed(MakeAnswer(503, "down", ""), now_);
      EXPECT_GE(*reflector_.NextDeadline(), failed + 100ms) << "it hammers the server";
      return;
    }
    for (const Change& change : reflector_.OnList(server_.List(), server_.version(), now_)) {
      Take(change);
    }
    EXPECT_EQ(Copy(), server_.objects());
  }

  void Watch(const std::string& from) {
    std::string bytes;
    if (!server_.Watch(from, bytes)) {
      if (random_.Below(2) == 0) {  // Both of the ways in which the server says it.
        return reflector_.OnWatchEnd(
            MakeAnswer(410, R"({"kind":"Status","reason":"Expired","code":410})", ""), now_);
      }
      bytes = R"({"type":"ERROR","object":{"kind":"Status","reason":"Expired","code":410}})"
              "\n";
    }
    bool cut = false;
    if (faults_ && random_.Below(2) == 0) {  // A reset at any byte.
      bytes.resize(random_.Below(bytes.size() + 1));
      cut = true;
    }
    WatchDecoder decoder;
    std::string_view rest = bytes;
    while (!rest.empty()) {
      const size_t size = std::min<size_t>(rest.size(), 1 + random_.Below(100));
      std::vector<WatchEvent> events;
      ASSERT_TRUE(decoder.Feed(rest.substr(0, size), events).ok());
      for (WatchEvent& event : events) {
        if (const auto change = reflector_.OnEvent(std::move(event), now_)) Take(*change);
      }
      rest.remove_prefix(size);
    }
    reflector_.OnWatchEnd(cut ? FailedAnswer(Unavailable("reset")) : Answer(), now_);
  }

  void Take(const Change& change) {
    if (change.kind == Change::Kind::kDeleted) {
      EXPECT_EQ(told_.erase(change.key), 1u) << "told twice of the end of " << change.key;
      return;
    }
    const uint64_t version = *ParseNumber<uint64_t>(ResourceVersionOf(*change.object));
    EXPECT_NE(told_[change.key], version) << "told twice of " << change.key;
    EXPECT_LT(told_[change.key], version) << "back in time: " << change.key;
    told_[change.key] = version;
  }

  std::map<std::string, uint64_t> Copy() const {
    std::map<std::string, uint64_t> copy;
    for (const auto& [key, object] : reflector_.objects()) {
      copy[key] = *ParseNumber<uint64_t>(ResourceVersionOf(*object));
    }
    return copy;
  }

  env::SeededRandom random_;
  ModelServer server_;
  Reflector reflector_;
  Instant now_{};
  bool faults_ = true;
  std::map<std::string, uint64_t> told_;
};

TEST(ReflectorSimulation, EndsWithTheTruthWhateverBreaks) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    Scenario(seed).Go();
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

}  // namespace
}  // namespace tepal::kube
