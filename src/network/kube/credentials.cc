#include "network/kube/credentials.h"

#include "core/base/text.h"

namespace tepal::kube {
namespace {

Result<net::Pem> Read(env::FileSystem& files, const Material& material, std::string_view what) {
  if (!material.content.empty()) return net::Pem{material.content, std::string(what)};
  if (material.path.empty()) return net::Pem{};
  return net::ReadPem(files, material.path);
}

Result<std::shared_ptr<const net::TlsContext>> NewContext(env::FileSystem& files,
                                                          const env::Clock& clock,
                                                          const ClusterAccess& access) {
  net::TlsContext::ClientOptions options;
  options.verify_server = access.verify_server;
  options.server_name = access.tls_server_name.empty() ? access.host : access.tls_server_name;
  ASSIGN_OR_RETURN(options.ca, Read(files, access.ca, "certificate-authority-data"));
  ASSIGN_OR_RETURN(options.certificate_chain,
                   Read(files, access.client_certificate, "client-certificate-data"));
  ASSIGN_OR_RETURN(options.key, Read(files, access.client_key, "client-key-data"));
  return net::TlsContext::NewClient(options, clock.WallNow());
}

}  // namespace

Result<std::unique_ptr<Credentials>> Credentials::New(env::FileSystem& files,
                                                      const env::Clock& clock,
                                                      const ClusterAccess& access,
                                                      Options options) {
  std::unique_ptr<Credentials> made(
      new Credentials(files, access.token.path, access.token.content, options));
  if (access.tls) {
    ASSIGN_OR_RETURN(made->tls_, net::TlsSource::New([&files, &clock, access] {
                       return NewContext(files, clock, access);
                     }));
  }
  if (!access.token.path.empty()) {
    ASSIGN_OR_RETURN(const std::string text, files.Read(access.token.path, kTokenBytesMax));
    made->token_ = Trim(Split(text, '\n').front());
    if (made->token_.empty()) {
      return InvalidArgument(Concat(access.token.path, ": got nothing, expected a token"));
    }
  }
  return made;
}

const std::string& Credentials::Token(Instant now) {
  if (token_path_.empty()) return token_;
  if (!token_read_) token_read_ = now;
  if (now - *token_read_ >= options_.token_age_max) RefreshToken(now);
  return token_;
}

bool Credentials::RefreshToken(Instant now) {
  if (token_path_.empty()) return false;
  token_read_ = now;
  Result<std::string> text = files_.Read(token_path_, kTokenBytesMax);
  if (!text.ok()) return false;
  const std::string_view token = Trim(Split(*text, '\n').front());
  if (token.empty() || token == token_) return false;
  token_ = token;
  return true;
}

void Credentials::OnConnectFailure(Instant now) {
  if (tls_ == nullptr || (tls_read_ && now - *tls_read_ < options_.tls_reload_interval)) return;
  tls_read_ = now;
  // After an error the old context stays; the caller has the failure to connect to report.
  (void)tls_->Reload();
}

}  // namespace tepal::kube
