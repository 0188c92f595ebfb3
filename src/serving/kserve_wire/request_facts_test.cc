#include "serving/kserve_wire/request_facts.h"

#include <gtest/gtest.h>

namespace tepal {
namespace {

// A length-delimited field of at most 127 bytes.
std::string Field(int number, const std::string& content) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(content.size())} +
         content;
}
std::string Parameter(const std::string& name, const std::string& value) {
  return Field(4, Field(1, name) + Field(2, value));
}
std::string Number(int number, char value) {
  return std::string{static_cast<char>(number << 3), value};
}

TEST(RequestFactsTest, GrpcRequestsSayTheirModelAndSequence) {
  const std::string head = Field(1, "flower") + Field(2, "3") + Field(3, "id");
  const std::string tensors = Field(5, std::string(100, '\x7f')) + Field(7, std::string(90, 'x'));
  EXPECT_EQ(ReadGrpcInferRequest(head + tensors).model, "flower");
  EXPECT_EQ(ReadGrpcInferRequest(head + tensors).sequence, 0u);

  const std::string seven = Parameter("sequence_id", Number(2, 7));
  const std::string start = Parameter("sequence_start", Number(1, 1));
  const std::string end = Parameter("sequence_end", Number(1, 1));
  const RequestFacts first = ReadGrpcInferRequest(head + seven + start + tensors);
  EXPECT_NE(first.sequence, 0u);
  EXPECT_TRUE(first.sequence_start);
  EXPECT_FALSE(first.sequence_end);
  // Fields in any order, and the number as any type or as text, name the same sequence.
  const RequestFacts last = ReadGrpcInferRequest(tensors + end + seven + head);
  EXPECT_EQ(last.sequence, first.sequence);
  EXPECT_TRUE(last.sequence_end);
  for (const std::string& value : {Number(5, 7), Field(3, "7")}) {
    EXPECT_EQ(ReadGrpcInferRequest(head + Parameter("sequence_id", value)).sequence,
              first.sequence);
  }
  EXPECT_EQ(ReadInferJson("flower", R"({"parameters":{"sequence_id":7}})").sequence,
            first.sequence);
  EXPECT_NE(ReadGrpcInferRequest(Field(1, "rose") + seven).sequence, first.sequence);
  for (const std::string& none : {Number(2, 0), Field(3, "")}) {
    EXPECT_EQ(ReadGrpcInferRequest(head + Parameter("sequence_id", none)).sequence, 0u);
  }
}

TEST(RequestFactsTest, CutAndMalformedMessagesGiveWhatTheyHave) {
  const std::string whole =
      Field(1, "flower") + Parameter("sequence_id", Number(2, 7)) + Field(7, std::string(90, 'x'));
  for (size_t size = 0; size <= whole.size(); ++size) {
    const RequestFacts facts = ReadGrpcInferRequest(std::string_view(whole).substr(0, size));
    EXPECT_TRUE(facts.model.empty() || facts.model == "flower");
    EXPECT_EQ(facts.sequence != 0, size >= whole.size() - 92);
  }
  EXPECT_EQ(ReadGrpcInferRequest(std::string(20, '\xff')).model, "");
}

TEST(RequestFactsTest, JsonIsReadWhereItSpeaksOfASequence) {
  const RequestFacts facts =
      ReadInferJson("m", R"({"inputs":[],"parameters":{"sequence_id":"a","sequence_start":true}})");
  EXPECT_NE(facts.sequence, 0u);
  EXPECT_TRUE(facts.sequence_start);
  EXPECT_FALSE(facts.sequence_end);
  for (const char* none : {R"({"parameters":{}})", R"({"parameters":{"sequence_id":0}})",
                           R"({"parameters":{"sequence_id":""}})", R"({"sequence_id":7})",
                           R"({"parameters":{"sequence_id":7})", "", "[\"sequence_id\"]"}) {
    EXPECT_EQ(ReadInferJson("m", none).sequence, 0u) << none;
  }
}

TEST(RequestFactsTest, RequestsSayHowLongTheyAreOfUse) {
  using namespace std::chrono_literals;
  const std::string timeout = Parameter("timeout", Number(2, 100));
  EXPECT_EQ(ReadGrpcInferRequest(Field(1, "m") + timeout).timeout, 100us);
  EXPECT_TRUE(ReadGrpcInferRequest(Field(1, "m") + Field(2, "3")).versioned);
  EXPECT_FALSE(ReadGrpcInferRequest(Field(1, "m") + Field(2, "")).versioned);
  // -1 as a varint.
  const std::string minus = std::string("\x10") + std::string(9, '\xff') + "\x01";
  EXPECT_EQ(ReadGrpcInferRequest(Field(1, "m") + Parameter("timeout", minus)).timeout, 0us);
  EXPECT_EQ(ReadInferJson("m", R"({"parameters":{"timeout":2500}})").timeout, 2500us);
  for (const char* none : {R"({"parameters":{"timeout":-1}})", R"({"parameters":{"timeout":"1"}})",
                           R"({"parameters":{"timeout":1e300}})", R"({"timeout":7})"}) {
    EXPECT_EQ(ReadInferJson("m", none).timeout, 0us) << none;
  }
  const std::string tensor(100'000, ' ');
  EXPECT_EQ(ReadInferJson("m", tensor + R"({"parameters":{"timeout":7}})").timeout, 0us);
}

TEST(RequestFactsTest, PathsNameTheirModel) {
  EXPECT_EQ(ModelOfPath("/v2/models/m/infer"), "m");
  EXPECT_EQ(ModelOfPath("/v2/models/m"), "m");
  EXPECT_EQ(ModelOfPath("/v2/health/ready"), "");
}

}  // namespace
}  // namespace tepal
