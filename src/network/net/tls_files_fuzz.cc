// Certificates, keys and root certificates of any bytes: a context or an error that names the file,
// never more. Inputs are PEM text; one that begins with '!' is put behind a good beginning.

#include <cstdlib>
#include <map>
#include <string>

#include "network/net/tls.h"

namespace {

class FixedClock final : public tepal::env::Clock {
 public:
  tepal::Instant Now() const override { return {}; }
  tepal::WallTime WallNow() const override { return {}; }
};

class Files final : public tepal::env::FileSystem {
 public:
  tepal::Result<std::string> Read(const std::string& path, uint64_t) override {
    return files[path];
  }
  tepal::Result<std::vector<Entry>> List(const std::string& path) override {
    return tepal::NotFound(path);
  }
  tepal::Result<Facts> Stat(const std::string& path) override { return tepal::NotFound(path); }
  tepal::Status Replace(const std::string& path, std::string_view) override {
    return tepal::NotFound(path);
  }
  tepal::Status MakeDirectories(const std::string& path) override { return tepal::NotFound(path); }
  tepal::Status Remove(const std::string& path) override { return tepal::NotFound(path); }

  std::map<std::string, std::string> files;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using tepal::net::TlsSource;
  static const FixedClock clock;
  std::string text(reinterpret_cast<const char*>(data), size);
  if (text.starts_with("!")) {
    text = "-----BEGIN CERTIFICATE-----\n" + text.substr(1) + "\n-----END CERTIFICATE-----\n";
  }
  Files files;
  files.files = {{"cert", text}, {"key", text}, {"ca", text}};
  const auto server = TlsSource::ForServer(files, clock, {"cert", "key", "ca"});
  if (!server.ok() && server.status().message().empty()) std::abort();
  const auto client = TlsSource::ForClient(
      files, clock, {.ca = "ca", .certificate_chain = "cert", .key = "key", .server_name = "x"});
  if (!client.ok() && client.status().message().empty()) std::abort();
  return 0;
}
