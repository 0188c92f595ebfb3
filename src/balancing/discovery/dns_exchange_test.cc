#include "balancing/discovery/dns_exchange.h"

#include <gtest/gtest.h>

#include "balancing/discovery/testing/dns_answers.h"

namespace tepal::discovery {
namespace {

using testing::AnswerWriter;
using Step = DnsExchange::Step;

const DnsQuestion kQuestion{7, "pods.svc", DnsType::kA};

std::vector<std::byte> AnswerTo(const DnsQuestion& question, int code = 0) {
  AnswerWriter writer(*WriteDnsQuestion(question), code);
  if (code == 0) writer.Address("", "10.0.0.1", 5);
  return writer.bytes();
}

class DnsExchangeTest : public ::testing::Test {
 protected:
  // The times at which it was sent, until its end.
  std::vector<Duration> Sends(Duration time_max) {
    DnsExchange exchange(kQuestion, begun_ + time_max);
    std::vector<Duration> sends;
    Instant now = begun_;
    for (int i = 0; i < 100; ++i) {
      const Step step = exchange.OnTime(now);
      if (step == Step::kEnded) {
        EXPECT_EQ(now, begun_ + time_max);
        EXPECT_EQ(exchange.result().status().code(), StatusCode::kDeadlineExceeded);
        return sends;
      }
      if (step == Step::kSend) sends.push_back(now - begun_);
      EXPECT_GT(exchange.next(), now);
      EXPECT_EQ(exchange.OnTime(now), Step::kWait);
      now = exchange.next();
    }
    ADD_FAILURE() << "no end";
    return sends;
  }

  const Instant begun_{5s};
};

TEST_F(DnsExchangeTest, IsSentAgainLessAndLessOftenUpToALimit) {
  EXPECT_EQ(Sends(2s), (std::vector<Duration>{0s, 500ms, 1500ms}));
  EXPECT_EQ(Sends(60s), (std::vector<Duration>{0s, 500ms, 1500ms, 3500ms, 7500ms}));
  EXPECT_EQ(Sends(100ms), (std::vector<Duration>{0s}));
}

TEST_F(DnsExchangeTest, WhatDoesNotAnswerIsPassedOver) {
  DnsExchange exchange(kQuestion, begun_ + 2s);
  ASSERT_EQ(exchange.OnTime(begun_), Step::kSend);
  const Instant next = exchange.next();
  std::vector<std::vector<std::byte>> strangers = {AnswerTo({8, "pods.svc", DnsType::kA}),
                                                   AnswerTo({7, "pods.svb", DnsType::kA}),
                                                   AnswerTo({7, "pods.svc", DnsType::kAaaa}),
                                                   AnswerTo({8, "pods.svc", DnsType::kA}, 5),
                                                   *WriteDnsQuestion(kQuestion),
                                                   {},
                                                   AnswerTo({8, "pods.svc", DnsType::kA}, 1)};
  strangers.push_back(AnswerTo(kQuestion));
  strangers.back().pop_back();
  for (const auto& stranger : strangers) {
    EXPECT_EQ(exchange.OnDatagram(stranger, begun_ + 1ms), Step::kWait);
    EXPECT_EQ(exchange.next(), next);
  }
  ASSERT_EQ(exchange.OnDatagram(AnswerTo(kQuestion), begun_ + 2ms), Step::kEnded);
  ASSERT_TRUE(exchange.result().ok());
  EXPECT_EQ(exchange.result()->records.at(0).value, "10.0.0.1");
}

TEST_F(DnsExchangeTest, ALateAnswerToAnEarlierSendCounts) {
  DnsExchange exchange(kQuestion, begun_ + 2s);
  ASSERT_EQ(exchange.OnTime(begun_), Step::kSend);
  const std::vector<std::byte> first(exchange.datagram().begin(), exchange.datagram().end());
  ASSERT_EQ(exchange.OnTime(begun_ + 500ms), Step::kSend);
  EXPECT_EQ(first, std::vector(exchange.datagram().begin(), exchange.datagram().end()));
  EXPECT_EQ(exchange.OnDatagram(AnswerTo(kQuestion), begun_ + 600ms), Step::kEnded);
}

TEST_F(DnsExchangeTest, AServerWithoutEdnsIsAskedWithoutItOnce) {
  for (const int code : {kDnsFormatError, kDnsNotImplemented}) {
    for (const bool repeats : {true, false}) {
      DnsExchange exchange(kQuestion, begun_ + 2s);
      ASSERT_EQ(exchange.OnTime(begun_), Step::kSend);
      EXPECT_EQ(exchange.datagram().size(), WriteDnsQuestion(kQuestion)->size() + 11);
      std::vector<std::byte> refusal = AnswerTo(kQuestion, code);
      if (!repeats) {
        refusal.resize(12);  // The header alone.
        refusal[5] = std::byte{0};
      }
      ASSERT_EQ(exchange.OnDatagram(refusal, begun_ + 1ms), Step::kSend);
      EXPECT_EQ(std::vector(exchange.datagram().begin(), exchange.datagram().end()),
                *WriteDnsQuestion(kQuestion));
      EXPECT_EQ(exchange.OnDatagram(refusal, begun_ + 2ms), repeats ? Step::kEnded : Step::kWait);
    }
  }
}

TEST_F(DnsExchangeTest, WhateverTheServerSaysEndsIt) {
  for (const int code : {kDnsServerFailure, 3, kDnsRefused}) {
    DnsExchange exchange(kQuestion, begun_ + 2s);
    ASSERT_EQ(exchange.OnTime(begun_), Step::kSend);
    ASSERT_EQ(exchange.OnDatagram(AnswerTo(kQuestion, code), begun_ + 1ms), Step::kEnded);
    EXPECT_EQ(exchange.result()->code, code);
  }
}

}  // namespace
}  // namespace tepal::discovery
