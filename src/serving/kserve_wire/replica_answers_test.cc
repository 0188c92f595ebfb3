#include "serving/kserve_wire/replica_answers.h"

#include <gtest/gtest.h>

namespace tepal {
namespace {

TEST(ReplicaAnswersTest, StatisticsAreSummed) {
  const auto merged = MergeStatistics(
      {R"({"model_stats":[{"name":"m","version":"1","last_inference":7,"inference_count":3,)"
       R"("inference_stats":{"success":{"count":3,"ns":300}},"response_stats":{},)"
       R"("batch_stats":[{"batch_size":1,"compute_infer":{"count":1,"ns":10}},)"
       R"({"batch_size":2,"compute_infer":{"count":1,"ns":15}}]}]})",
       R"({"model_stats":[{"name":"a","version":"2","inference_count":18446744073709551615},)"
       R"({"name":"m","version":"1","last_inference":5,"inference_count":4,)"
       R"("inference_stats":{"success":{"count":4,"ns":100},"fail":{"count":1,"ns":9}},)"
       R"("batch_stats":[{"batch_size":2,"compute_infer":{"count":2,"ns":20}}]}]})"});
  ASSERT_TRUE(merged.ok()) << merged.status().message();
  EXPECT_EQ(*merged,
            R"({"model_stats":[{"name":"a","version":"2","inference_count":18446744073709551615},)"
            R"({"name":"m","version":"1","last_inference":7,"inference_count":7,)"
            R"("inference_stats":{"success":{"count":7,"ns":400},"fail":{"count":1,"ns":9}},)"
            R"("response_stats":{},)"
            R"("batch_stats":[{"batch_size":1,"compute_infer":{"count":1,"ns":10}},)"
            R"({"batch_size":2,"compute_infer":{"count":3,"ns":35}}]}]})");
}

TEST(ReplicaAnswersTest, AModelIsReadyWhereAllAgree) {
  const std::vector<std::string_view> answers = {
      R"([{"name":"a","version":"1","state":"READY"},{"name":"b","version":"1","state":"READY"},)"
      R"({"name":"c","state":"UNAVAILABLE","reason":"broken"},{"name":"d"}])",
      R"([{"name":"a","version":"1","state":"READY"},{"name":"b","version":"1","state":"LOADING"},)"
      R"({"name":"c","state":"UNAVAILABLE","reason":"broken"},)"
      R"({"name":"e","version":"2","state":"READY"}])"};
  EXPECT_EQ(MergeIndexes(answers, false).value(),
            R"([{"name":"a","version":"1","state":"READY"},)"
            R"({"name":"b","version":"1","state":"UNAVAILABLE",)"
            R"("reason":"READY on 1 of 2 replicas"},)"
            R"({"name":"c","state":"UNAVAILABLE","reason":"broken"},{"name":"d"},)"
            R"({"name":"e","version":"2","state":"UNAVAILABLE",)"
            R"("reason":"READY on 1 of 2 replicas"}])");
  EXPECT_EQ(MergeIndexes(answers, true).value(), R"([{"name":"a","version":"1","state":"READY"}])");
}

TEST(ReplicaAnswersTest, SaysWhichAnswerIsNone) {
  EXPECT_EQ(MergeStatistics({R"({"model_stats":[]})", "[]"}).status().message(),
            "the answer of replica 2 is no statistics");
  EXPECT_EQ(MergeIndexes({"{}"}, false).status().message(),
            "the answer of replica 1 is no repository index");
}

}  // namespace
}  // namespace tepal
