#include "serving/kserve/compression.h"

#include <gtest/gtest.h>

#include <string>

namespace tepal::kserve {
namespace {

TEST(Compression, RoundTrips) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i * 7919 % 1000);
  const BufferList pieces = {Buffer::Copy(text.substr(0, 70'000)),
                             Buffer::Copy(text.substr(70'000))};
  for (const Encoding encoding : {Encoding::kGzip, Encoding::kDeflate}) {
    const Buffer compressed = Compress(encoding, pieces);
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
}  // namespace tepal::kserve
