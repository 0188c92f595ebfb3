#include "balancing/load_balancer/json_web_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstdint>

#include "core/base/text.h"

namespace tepal::lb {
namespace {

using testing::HasSubstr;

// Made once with another program; claims: iss "tests", sub "ann", aud ["tepal", "other"], from
// second 1e9 to 2e9.
constexpr char kKeys[] =
    "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"r\",\"use\":\"sig\",\"alg\":\"RS256\",\"n\":\"rd_"
    "XyQj8IflGEaKo9aAI-1MzO"
    "ssX9vEOtJITDcuRo71mpPyRO75sbbs6GaNCSpMxRyYzJK-4UBdtBxTiry5pmAUah0lNE67Agyl42AlplevbuJ9sL"
    "wo0QTmHKGueNcO6Csygi6A6q-UtqOlKUG3-fN6RoJtF6cM6XIZsLNw7utYi1JfPrqPTRPQ5Iv0y_84NfDWjGbhgb"
    "67S_tijU7wGFTTCzmaCJ11nBbUTLddAZAzKcv4eH_WIqESARGh1n1g6KsisI9M4nev5SolDGbh3aML9N8nQgwYuE"
    "jVBpb1UifUbpInNulM92AGbBYUvxj1AqgaKnAMIZflcZKS65Zxgfw\",\"e\":\"AQAB\"},{\"kty\":\"EC\","
    "\"kid\":\"e\""
    ",\"crv\":\"P-256\",\"x\":\"0TBPGvt5UfiDdErLgsmPotx5BWyInq8GEWoznPkw2n0\",\"y\":\"6r5vuaHOTQI_"
    "XfzhIV"
    "-PYwUk1gpJ15wVio68MnCSjHw\"},{\"kty\":\"oct\",\"kid\":\"h\",\"k\":"
    "\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
    "ODlhYmNkZWY\"}]}";
constexpr char kRs256[] =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InIifQ.eyJpc3MiOiJ0ZXN0cyIsInN1YiI6ImFubiIsImF1ZCI6WyJ0ZXBhb"
    "CIsIm90aGVyIl0sImV4cCI6MjAwMDAwMDAwMCwibmJmIjoxMDAwMDAwMDAwfQ.BoY2yD3fO9RmEkneV2JXTAqOrR"
    "MFX9vzx-nHzvREiAz7zCifSxFro2WUtmkVGqszlUIW7Dy50wrzWjWTbNh3RMOMV9EtuJspMUrGjCkiKqmFD6vJIN"
    "R5ylDT7j22h_zgpDfZp8pqOA1nsm40aLw5_KlNMO_5XYLiEIyV6V9wh15db6n7tL8N78yA-XyH4T1UwGiYhR82jq"
    "MGHA7agZ1Elr47vwVvV2eAi-KDpKiwQ-Hb9SzJ9JUtJB9m72Hat7uzxTvuCafNqG4h9YKOop6F8tT2ADH15US1DQ"
    "Z6TMCm3sh8m7OwnpgU-66poC9IKzkzTTRuc6XKhA05Zl_smEIIhA";
constexpr char kEs256[] =
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ0ZXN0cyIsInN1YiI6ImFubiIsImF1ZCI6WyJ0ZXB"
    "hbCIsIm90aGVyIl0sImV4cCI6MjAwMDAwMDAwMCwibmJmIjoxMDAwMDAwMDAwfQ.lTr1QoRCdNK8Wcozss9Qx5QY"
    "fempQPx4lEja1-r8XFdCY0wsdMnZRSCYqJUkhVk18Vih2g-37jObjOxZeU8rEw";
constexpr char kHs256[] =
    "eyJhbGciOiJIUzI1NiIsImtpZCI6ImgifQ.eyJpc3MiOiJ0ZXN0cyIsInN1YiI6ImFubiIsImF1ZCI6WyJ0ZXBhb"
    "CIsIm90aGVyIl0sImV4cCI6MjAwMDAwMDAwMCwibmJmIjoxMDAwMDAwMDAwfQ.tk-QvQoO_FlFdR9MU5P6FjGOpv"
    "b5NE27fdfNxIqBuXc";
constexpr char kSecret[] = "0123456789abcdef0123456789abcdef";
constexpr WallTime kNow{1'500'000'000s};

JwtKeys Keys(std::string_view text = kKeys) { return JwtKeys::Parse(text, "keys.json").value(); }
std::string ErrorOf(std::string_view token, const JwtRules& rules = {}, WallTime now = kNow) {
  return VerifyJwt(token, Keys(), rules, now).status().message();
}

std::string Base64Url(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  text.resize(static_cast<size_t>(EVP_EncodeBlock(
      reinterpret_cast<unsigned char*>(text.data()),
      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()))));
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}
// Signed with `secret` as HS256, whatever the header says.
std::string Sign(std::string_view header, std::string_view claims,
                 std::string_view secret = kSecret) {
  const std::string text = Concat(Base64Url(header), ".", Base64Url(claims));
  unsigned char signature[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), signature, &size);
  return Concat(text, ".", Base64Url({reinterpret_cast<const char*>(signature), size}));
}
std::string SignClaims(std::string_view claims) { return Sign(R"({"alg":"HS256"})", claims); }

TEST(JsonWebTokenTest, EachAlgorithmIsVerified) {
  for (const char* token : {kRs256, kEs256, kHs256}) {
    const auto claims = VerifyJwt(token, Keys(), {"tests", "tepal"}, kNow);
    ASSERT_TRUE(claims.ok()) << claims.status().message();
    EXPECT_EQ(claims->subject, "ann");
    EXPECT_EQ(claims->expires, WallTime(2'000'000'030s));
  }
}

TEST(JsonWebTokenTest, EveryChangedByteIsSeen) {
  for (const char* token : {kRs256, kEs256, kHs256}) {
    const std::string whole = token;
    for (size_t i = 0; i + 1 < whole.size(); i += 7) {  // The last one has bits of no meaning.
      std::string other = whole;
      other[i] = other[i] == 'A' ? 'B' : 'A';
      EXPECT_FALSE(VerifyJwt(other, Keys(), {}, kNow).ok()) << i;
    }
    EXPECT_FALSE(VerifyJwt(whole.substr(0, whole.size() - 4), Keys(), {}, kNow).ok());
  }
}

TEST(JsonWebTokenTest, ClaimsAreHeeded) {
  EXPECT_THAT(ErrorOf(kRs256, {}, WallTime(2'000'000'030s)), HasSubstr("has expired"));
  EXPECT_EQ(ErrorOf(kRs256, {}, WallTime(2'000'000'029s)), "");
  EXPECT_THAT(ErrorOf(kRs256, {}, WallTime(999'999'969s)), HasSubstr("is not valid yet"));
  EXPECT_EQ(ErrorOf(kRs256, {}, WallTime(999'999'970s)), "");
  EXPECT_THAT(ErrorOf(kRs256, {"others", ""}), HasSubstr("another issuer"));
  EXPECT_THAT(ErrorOf(kRs256, {"", "nobody"}), HasSubstr("another audience"));
  EXPECT_EQ(ErrorOf(SignClaims(R"({"exp":1600000000,"aud":"tepal"})"), {"", "tepal"}), "");
  EXPECT_THAT(ErrorOf(SignClaims(R"({"exp":1600000000})"), {"", "tepal"}), HasSubstr("audience"));
  for (const char* claims : {"{}", R"({"exp":"1600000000"})", R"({"exp":-1})", "[]", "7"}) {
    EXPECT_NE(ErrorOf(SignClaims(claims)), "") << claims;
  }
  EXPECT_THAT(ErrorOf(SignClaims(R"({"exp":1600000000,"nbf":"x"})")), HasSubstr("'nbf'"));
  EXPECT_THAT(ErrorOf(SignClaims(R"({"exp":1,"exp":1600000000})")), HasSubstr("claims that are"));
  EXPECT_EQ(ErrorOf(SignClaims(R"({"exp":1e300})")), "");  // For ever is a time.
}

TEST(JsonWebTokenTest, AlgorithmsAreNotConfused) {
  constexpr char kClaims[] = R"({"exp":1600000000})";
  EXPECT_EQ(ErrorOf(Sign(R"({"alg":"HS256"})", kClaims)), "");
  // The secret's signature under another name, or none at all.
  for (const char* header :
       {R"({"alg":"none"})", R"({"alg":"RS256"})", R"({"alg":"hs256"})", R"({"alg":"HS512"})",
        R"({"alg":""})", "{}", R"({"alg":7})", R"({"alg":"none","alg":"HS256"})",
        R"({"alg":"HS256","crit":["exp"]})", R"({"alg":"HS256","kid":"r"})"}) {
    EXPECT_NE(ErrorOf(Sign(header, kClaims)), "") << header;
  }
  const std::string bare = Concat(Base64Url(R"({"alg":"none"})"), ".", Base64Url(kClaims), ".");
  EXPECT_THAT(ErrorOf(bare), HasSubstr("a key that is not known"));
  // Whoever knows the public key must not be able to use it as a secret.
  const std::string text = kKeys;
  const size_t from = text.find("\"n\":\"") + 5;
  const std::string modulus = text.substr(from, text.find('"', from) - from);
  EXPECT_NE(ErrorOf(Sign(R"({"alg":"HS256","kid":"r"})", kClaims, modulus)), "");
  EXPECT_NE(ErrorOf(Sign(R"({"alg":"HS256"})", kClaims, modulus)), "");
}

TEST(JsonWebTokenTest, WhatIsNoTokenIsRefused) {
  for (const char* bad : {"", ".", "..", "...", "a.b.c", "a.b", "e30.e30.", "e30=.e30.e30"}) {
    EXPECT_NE(ErrorOf(bad), "") << bad;
  }
  EXPECT_THAT(ErrorOf(std::string(kJwtBytesMax + 1, 'a')), HasSubstr("too long"));
}

TEST(JsonWebTokenTest, BrokenKeysAreNamedAndNeverShown) {
  const auto error = [](std::string_view text) {
    return JwtKeys::Parse(text, "keys.json").status().message();
  };
  EXPECT_THAT(error("{"), HasSubstr("keys.json: no JSON"));
  EXPECT_THAT(error("{}"), HasSubstr("no JWK set"));
  EXPECT_THAT(error(R"({"keys":[]})"), HasSubstr("no key for RS256"));
  EXPECT_THAT(error(R"({"keys":[{"kty":"oct","k":"c2hvcnQ"}]})"),
              HasSubstr("key 1: a secret of 5 bytes, expected at least 32"));
  EXPECT_THAT(error(R"({"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]})"),
              HasSubstr("an RSA modulus of 24 bits"));
  EXPECT_THAT(error(R"({"keys":[{"kty":"EC","crv":"P-256","x":"AQAB","y":"AQAB"}]})"),
              HasSubstr("coordinates of 3 and 3 bytes"));
  const std::string point(43, 'A');
  EXPECT_THAT(error(Concat(R"({"keys":[{"kty":"EC","crv":"P-256","x":")", point, R"(","y":")",
                           point, R"("}]})")),
              HasSubstr("not on the curve"));
  // Of other kinds, for encryption or for another algorithm: passed over.
  EXPECT_THAT(error(R"({"keys":[{"kty":"OKP"},{"kty":"EC","crv":"P-521"},{"use":"enc"},7,
                       {"kty":"oct","alg":"HS512","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]})"),
              HasSubstr("no key for RS256"));
  EXPECT_EQ(Keys().keys().size(), 3u);
}

}  // namespace
}  // namespace tepal::lb
