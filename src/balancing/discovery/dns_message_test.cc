#include "balancing/discovery/dns_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "balancing/discovery/testing/dns_answers.h"
#include "core/env/random.h"

namespace tepal::discovery {
namespace {

using testing::AnswerWriter;

std::vector<std::byte> Question(std::string_view name, DnsType type) {
  return *WriteDnsQuestion({7, std::string(name), type});
}

TEST(DnsMessageTest, AQuestionIsWrittenAsTheRfcHasIt) {
  const std::string expected("\0\7\1\0\0\1\0\0\0\0\0\0\1a\2bc\0\0\34\0\1", 22);
  const auto question = Question("a.bc.", DnsType::kAaaa);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(question.data()), question.size()), expected);
  for (const std::string& bad : {std::string(), std::string("a..b"), std::string("."),
                                 std::string(64, 'a'), std::string(254, 'a')}) {
    EXPECT_FALSE(WriteDnsQuestion({1, bad, DnsType::kA}).ok()) << bad;
  }
}

TEST(DnsMessageTest, AQuestionSaysHowLongADatagramMayBe) {
  const std::string plain(reinterpret_cast<const char*>(Question("a.bc", DnsType::kA).data()), 22);
  const auto question = *WriteDnsQuestion({7, "a.bc", DnsType::kA}, 1232);
  std::string expected = plain + std::string("\0\0\x29\x04\xd0\0\0\0\0\0\0", 11);  // RFC 6891.
  expected[11] = 1;  // An additional record.
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(question.data()), question.size()), expected);
}

TEST(DnsMessageTest, ATruncatedAnswerIsReadWhereverItIsCut) {
  AnswerWriter writer(Question("pods.svc", DnsType::kA), 0);
  writer.Address("", "10.0.0.1", 5);
  std::vector<std::byte> bytes = writer.bytes();
  bytes[2] |= std::byte{0x02};
  for (const size_t cut : {0u, 1u, 9u, 16u}) {
    const auto answer = ReadDnsAnswer(std::span(bytes).first(bytes.size() - cut));
    ASSERT_TRUE(answer.ok()) << cut;
    EXPECT_TRUE(answer->truncated);
    EXPECT_TRUE(answer->records.empty());
  }
}

TEST(DnsMessageTest, AnAnswerRepeatsTheQuestion) {
  const AnswerWriter writer(Question("Pods.svc", DnsType::kA), 0);
  const DnsAnswer answer = *ReadDnsAnswer(writer.bytes());
  EXPECT_TRUE(AnswersQuestion(answer, {7, "pods.SVC", DnsType::kA}));
  EXPECT_TRUE(AnswersQuestion(answer, {7, "pods.svc.", DnsType::kA}));
  EXPECT_FALSE(AnswersQuestion(answer, {8, "pods.svc", DnsType::kA}));
  EXPECT_FALSE(AnswersQuestion(answer, {7, "pods.sv", DnsType::kA}));
  EXPECT_FALSE(AnswersQuestion(answer, {7, "pods.svc", DnsType::kAaaa}));
}

TEST(DnsMessageTest, AddressesAreRead) {
  AnswerWriter writer(Question("pods.svc", DnsType::kA), 0);
  writer.Address("", "10.0.0.1", 5);
  writer.Text("pods.svc");
  writer.Address("PODS.svc", "10.0.0.2", 4);
  const auto answer = ReadDnsAnswer(writer.bytes());
  ASSERT_TRUE(answer.ok()) << answer.status().message();
  EXPECT_EQ(answer->id, 7);
  EXPECT_EQ(answer->question, "pods.svc");
  const auto records = RecordsFor(*answer, "Pods.Svc.", DnsType::kA);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].value, "10.0.0.1");
  EXPECT_EQ(records[1].value, "10.0.0.2");
  EXPECT_EQ(records[1].ttl_s, 4u);
  EXPECT_TRUE(RecordsFor(*answer, "pods.svc", DnsType::kAaaa).empty());
}

TEST(DnsMessageTest, OtherNamesAreFollowedAndTheirTimeCounts) {
  AnswerWriter writer(Question("www", DnsType::kAaaa), 0);
  writer.Cname("www", "web.example", 3);
  writer.Cname("web.example", "host.example", 60);
  writer.Address("host.example", "fd00::1", 30);
  writer.Address("stranger", "fd00::2", 30);
  const auto records = RecordsFor(*ReadDnsAnswer(writer.bytes()), "www", DnsType::kAaaa);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].value, "fd00::1");
  EXPECT_EQ(records[0].ttl_s, 3u);
}

TEST(DnsMessageTest, NamesInACircleAreGivenUp) {
  AnswerWriter writer(Question("a", DnsType::kA), 0);
  writer.Cname("a", "b", 3);
  writer.Cname("b", "a", 3);
  EXPECT_TRUE(RecordsFor(*ReadDnsAnswer(writer.bytes()), "a", DnsType::kA).empty());
  // A name that points to itself.
  auto bytes = writer.bytes();
  bytes[12] = std::byte{0xc0};
  bytes[13] = std::byte{12};
  EXPECT_FALSE(ReadDnsAnswer(bytes).ok());
}

TEST(DnsMessageTest, ServicesAreRead) {
  AnswerWriter writer(Question("_http._tcp.svc", DnsType::kSrv), 0);
  writer.Srv("", 10, 3, 8000, "pod-0.svc", 5);
  const auto records = RecordsFor(*ReadDnsAnswer(writer.bytes()), "_http._tcp.svc", DnsType::kSrv);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].value, "pod-0.svc");
  EXPECT_EQ(records[0].priority, 10);
  EXPECT_EQ(records[0].weight, 3);
  EXPECT_EQ(records[0].port, 8000);
}

TEST(DnsMessageTest, CodesAreKept) {
  const AnswerWriter writer(Question("nope", DnsType::kA), 3);
  EXPECT_EQ(ReadDnsAnswer(writer.bytes())->code, 3);
  EXPECT_FALSE(ReadDnsAnswer(Question("nope", DnsType::kA)).ok());  // A question.
}

TEST(DnsMessageTest, EveryCutIsRefusedAndEveryFlipIsReadOrRefused) {
  AnswerWriter writer(Question("pods.svc", DnsType::kA), 0);
  writer.Cname("pods.svc", "other.svc", 5);
  writer.Address("other.svc", "10.0.0.1", 5);
  writer.Srv("other.svc", 1, 2, 3, "x.svc", 5);
  const std::vector<std::byte>& whole = writer.bytes();
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_FALSE(ReadDnsAnswer(std::span(whole).first(i)).ok()) << i;
  }
  env::SeededRandom random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::byte> flipped = whole;
    flipped[random.Below(flipped.size())] = static_cast<std::byte>(random.Below(256));
    if (const auto answer = ReadDnsAnswer(flipped); answer.ok()) {
      (void)RecordsFor(*answer, "pods.svc", DnsType::kA);
    }
  }
}

}  // namespace
}  // namespace tepal::discovery
