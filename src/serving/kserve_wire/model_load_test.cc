#include "serving/kserve_wire/model_load.h"

#include <gtest/gtest.h>

#include "core/base/text.h"

namespace tepal {
namespace {

ModelLoad Sample() {
  return {.in_flight = 3,
          .queued = 2,
          .wait = 1500us,
          .each = 500us,
          .instances = 1,
          .room = 6,
          .in_flight_all = 4,
          .ready = true};
}

TEST(ModelLoadTest, AReportReadsBackAsItWasWritten) {
  LoadText text;
  const std::string_view written = WriteModelLoad(Sample(), text);
  EXPECT_EQ(written,
            "in_flight=3,queued=2,wait_us=1500,each_us=500,instances=1,room=6,all=4,ready=1");
  const auto read = ReadModelLoad(written);
  ASSERT_TRUE(read.has_value());
  LoadText again;
  EXPECT_EQ(WriteModelLoad(*read, again), written);
  EXPECT_EQ(read->wait, 1500us);
  EXPECT_EQ(read->in_flight_all, 4u);
}

TEST(ModelLoadTest, TheLargestReportFits) {
  ModelLoad load;
  load.in_flight = load.queued = load.instances = load.room = load.in_flight_all = UINT64_MAX;
  load.wait = load.each = Duration::max();
  LoadText text;
  EXPECT_LE(WriteModelLoad(load, text).size(), kLoadTextMax);
  EXPECT_TRUE(ReadModelLoad(WriteModelLoad(load, text)).has_value());
}

TEST(ModelLoadTest, UnknownFieldsAreSteppedOverAndOrderIsFree) {
  const auto read = ReadModelLoad("ready=0,shoe_size=44,in_flight=7");
  ASSERT_TRUE(read.has_value());
  EXPECT_FALSE(read->ready);
  EXPECT_EQ(read->in_flight, 7u);
}

TEST(ModelLoadTest, OfAMalformedReportNothingCounts) {
  for (const std::string& text :
       {std::string(), std::string("in_flight"), std::string("in_flight=-1"),
        std::string("in_flight=1,"
                    "=2"),
        std::string("in_flight=1.5"), std::string("in_flight=99999999999999999999"),
        std::string("in_flight= 1"), Concat("in_flight=1,x=", std::string(kLoadTextMax, '1'))}) {
    EXPECT_FALSE(ReadModelLoad(text).has_value()) << text;
  }
}

TEST(ModelLoadTest, OneMoreWaitsForThoseBeforeIt) {
  ModelLoad load = Sample();
  EXPECT_EQ(ExpectedWait(load), 1500us);
  load.instances = 3;
  EXPECT_EQ(ExpectedWait(load), 500us);
  load.instances = 4;
  EXPECT_EQ(ExpectedWait(load), 0us);
}

TEST(ModelLoadTest, AServerSaysTheLoadOfEveryModel) {
  const auto read = ReadServerLoad(
      R"({"ready":true,"in_flight":4,"models":[)"
      R"({"name":"a","version":1,"ready":false,"in_flight":0},)"
      R"({"name":"a","version":2,"ready":true,"in_flight":3,"wait_us":20,"each_us":10},)"
      R"({"name":"b","version":1,"ready":false}]})");
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_TRUE(read->ready);
  ASSERT_EQ(read->models.size(), 2u);
  EXPECT_TRUE(read->models[0].load.ready);
  EXPECT_EQ(read->models[0].load.wait, 20us);
  EXPECT_EQ(read->models[0].load.in_flight_all, 4u);
  EXPECT_FALSE(read->models[1].load.ready);
  for (const char* bad : {"", "[]", "{}", R"({"models":[{}]})", R"({"models":{}})"}) {
    EXPECT_FALSE(ReadServerLoad(bad).ok()) << bad;
  }
}

TEST(ModelLoadTest, AnIndexSaysWhatIsReady) {
  const auto read = ReadRepositoryIndex(
      R"([{"name":"a","version":"1","state":"READY"},{"name":"b","state":"UNAVAILABLE"},)"
      R"({"name":"c"}])");
  ASSERT_TRUE(read.ok()) << read.status().message();
  ASSERT_EQ(read->models.size(), 3u);
  EXPECT_TRUE(read->models[0].load.ready);
  EXPECT_FALSE(read->models[1].load.ready);
  EXPECT_FALSE(read->models[2].load.ready);
  std::string many = "[";
  for (size_t i = 0; i <= kServerLoadModelsMax; ++i) many += R"({"name":"x"},)";
  many.back() = ']';
  EXPECT_EQ(ReadRepositoryIndex(many).status().code(), StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace tepal
