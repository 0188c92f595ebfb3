#include "network/net/read_coalescing.h"

#include <gtest/gtest.h>

#include <vector>

#include "sim/world.h"

namespace tepal::net {
namespace {

constexpr size_t kPiece = ReadCoalescing::kPieceBytes;

struct AskedStream final : env::Stream {
  void Attach(env::EventLoop&, env::StreamEvents&) override {}
  void Watch(bool, bool) override {}
  void WaitFor(size_t bytes) override { asked.push_back(bytes); }
  env::IoResult Read(std::span<std::byte>) override { return {}; }
  env::IoResult Write(std::span<const env::ConstBytes>) override { return {}; }
  void ShutdownWrite() override {}
  void AbortOnClose() override {}
  env::Address local_address() const override { return {}; }
  env::Address peer_address() const override { return {}; }

  std::vector<size_t> asked;
};

class ReadCoalescingTest : public testing::Test {
 protected:
  void Pass(Duration time) { world.RunFor(time); }

  sim::World world{1};
  env::EventLoop& loop = world.AddLoop();
  AskedStream stream;
  ReadCoalescing reads{loop};
  using Asked = std::vector<size_t>;
};

TEST_F(ReadCoalescingTest, LeavesSmallBodiesAlone) {
  reads.Expect(stream, 0);
  reads.Expect(stream, ReadCoalescing::kWorthwhileBytes - 1);
  EXPECT_TRUE(stream.asked.empty());
}

TEST_F(ReadCoalescingTest, AsksForLargePiecesUntilTheBodyEnds) {
  for (const size_t left : {8 * kPiece, 7 * kPiece, kPiece + 1}) reads.Expect(stream, left);
  reads.Expect(stream, kPiece / 2);
  reads.Expect(stream, 0);
  EXPECT_EQ(stream.asked, (Asked{kPiece, kPiece / 2, 1}));
}

TEST_F(ReadCoalescingTest, AStalledBodyIsReportedByteByByteAgain) {
  reads.Expect(stream, 8 * kPiece);
  Pass(2 * ReadCoalescing::kPatience);
  EXPECT_EQ(stream.asked, (Asked{kPiece, 1}));
  reads.OnReadable();
  reads.Expect(stream, 7 * kPiece);
  EXPECT_EQ(stream.asked, (Asked{kPiece, 1}));  // Until the next body.
  reads.Expect(stream, 0);
  reads.Expect(stream, 8 * kPiece);
  EXPECT_EQ(stream.asked, (Asked{kPiece, 1, kPiece}));
}

TEST_F(ReadCoalescingTest, PatienceLastsWhileBytesCome) {
  for (size_t left = 20; left > 10; --left) {
    reads.OnReadable();
    reads.Expect(stream, left * kPiece);
    Pass(ReadCoalescing::kPatience / 2);
  }
  EXPECT_EQ(stream.asked, Asked{kPiece});
}

TEST_F(ReadCoalescingTest, TouchesNoStreamOnceStopped) {
  reads.Expect(stream, 8 * kPiece);
  reads.Stop();
  Pass(2 * ReadCoalescing::kPatience);
  EXPECT_EQ(stream.asked, Asked{kPiece});
}

}  // namespace
}  // namespace tepal::net
