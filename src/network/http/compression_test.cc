#include "network/http/compression.h"

#include <gtest/gtest.h>

#include <string>

namespace tepal::http {
namespace {

TEST(Compression, RoundTrips) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i * 7919 % 1000);
  const BufferList pieces = {Buffer::Copy(text.substr(0, 70'000)),
                             Buffer::Copy(text.substr(70'000))};
  for (const Encoding encoding : {Encoding::kGzip, Encoding::kDeflate}) {
    const Buffer compressed = Flatten(Compress(encoding, pieces));
    EXPECT_LT(compressed.size(), text.size());
    Result<Buffer> back = Decompress(encoding, compressed.text(), text.size());
    ASSERT_TRUE(back.ok()) << back.status().message();
    EXPECT_EQ(back->text(), text);
    EXPECT_EQ(Decompress(encoding, compressed.text(), text.size() - 1).status().code(),
              StatusCode::kResourceExhausted);
    EXPECT_EQ(Decompress(encoding, compressed.text().substr(0, compressed.size() / 2), text.size())
                  .status()
                  .code(),
              StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(Decompress(Encoding::kGzip, "notgzip", 100).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(Decompress(Encoding::kGzip, "", 100).status().code(), StatusCode::kInvalidArgument);
}

TEST(Compression, WhatComesOutIsTakenFromTheBudget) {
  const Buffer compressed =
      Flatten(Compress(Encoding::kGzip, {Buffer::Copy(std::string(1 << 20, 'x'))}));
  Budget budget(2 << 20);
  Result<Buffer> plain = Decompress(Encoding::kGzip, compressed.text(), 2 << 20, &budget);
  ASSERT_TRUE(plain.ok());
  EXPECT_GE(budget.used(), 1u << 20);
  // While the first is held there is no room to grow into.
  EXPECT_EQ(Decompress(Encoding::kGzip, compressed.text(), 2 << 20, &budget).status().code(),
            StatusCode::kUnavailable);
  EXPECT_EQ(budget.refusals(), 1u);
  plain = Buffer();
  EXPECT_EQ(budget.used(), 0u);
  Budget none(0);
  EXPECT_EQ(Decompress(Encoding::kGzip, compressed.text(), 2 << 20, &none).status().code(),
            StatusCode::kUnavailable);
}

TEST(Compression, ACompressedBombIsRefused) {
  const BufferList zeros(8, Buffer::Copy(std::string(1 << 20, '\0')));
  const Buffer bomb = Flatten(Compress(Encoding::kGzip, zeros, Effort::kHigh));
  EXPECT_LT(bomb.size(), 10'000u);
  EXPECT_EQ(Decompress(Encoding::kGzip, bomb.text(), 1 << 20).status().code(),
            StatusCode::kResourceExhausted);
  EXPECT_EQ(Decompress(Encoding::kGzip, bomb.text(), 8 << 20)->size(), 8u << 20);
}

TEST(Compression, EmptyAndTrailingBytes) {
  for (const Encoding encoding : {Encoding::kGzip, Encoding::kDeflate}) {
    std::string empty(Flatten(Compress(encoding, {})).text());
    EXPECT_EQ(Decompress(encoding, empty, 0)->size(), 0u);
    empty.push_back('x');
    EXPECT_EQ(Decompress(encoding, empty, 100).status().message(),
              "body is not valid " + std::string(EncodingName(encoding)) +
                  " data: 1 bytes follow its end");
  }
}

TEST(Compression, MoreEffortMakesLess) {
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += std::to_string(i * 31 % 997);
  const BufferList pieces = {Buffer::Copy(text)};
  EXPECT_GT(TotalSize(Compress(Encoding::kGzip, pieces, Effort::kLow)),
            TotalSize(Compress(Encoding::kGzip, pieces, Effort::kHigh)));
}

TEST(Compression, ReadsHeaders) {
  EXPECT_EQ(ContentEncoding("gzip"), Encoding::kGzip);
  EXPECT_EQ(ContentEncoding(""), Encoding::kIdentity);
  EXPECT_EQ(ContentEncoding("br"), std::nullopt);
  EXPECT_EQ(AcceptedEncoding("gzip, deflate"), Encoding::kGzip);
  EXPECT_EQ(AcceptedEncoding("deflate"), Encoding::kDeflate);
  EXPECT_EQ(AcceptedEncoding("gzip;q=0.5, deflate;q=0.8"), Encoding::kDeflate);
  EXPECT_EQ(AcceptedEncoding("gzip;q=0"), Encoding::kIdentity);
  EXPECT_EQ(AcceptedEncoding("br, zstd"), Encoding::kIdentity);
  EXPECT_EQ(AcceptedEncoding(""), Encoding::kIdentity);
}

}  // namespace
}  // namespace tepal::http
