#include "apps/commands/serving_certificate.h"

#include "core/base/text.h"
#include "network/net/self_signed.h"
#include "network/net/tls_peer.h"

namespace tepal::commands {
namespace {

using Context = Result<std::shared_ptr<const net::TlsContext>>;

Result<ServingCertificate> FromFiles(env::FileSystem& files, const env::Clock& clock,
                                     CertificateWatch& watch, const std::string& certificate,
                                     const std::string& key) {
  ServingCertificate made;
  ASSIGN_OR_RETURN(
      made.tls, watch.Add("the API", {certificate, key}, [&files, &clock, certificate, key] {
        return net::TlsSource::New([&files, &clock, certificate, key]() -> Context {
          net::TlsContext::ServerOptions options;
          ASSIGN_OR_RETURN(options.certificate_chain, net::ReadPem(files, certificate));
          ASSIGN_OR_RETURN(options.key, net::ReadPem(files, key));
          return net::NewAskingServer(options, clock.WallNow());
        });
      }));
  return made;
}

Result<ServingCertificate> InMemory(const env::Clock& clock, const net::SelfSigned& own) {
  net::TlsContext::ServerOptions options;
  options.certificate_chain = own.certificate;
  options.key = own.key;
  ServingCertificate made;
  ASSIGN_OR_RETURN(const auto context, net::NewAskingServer(options, clock.WallNow()));
  ASSIGN_OR_RETURN(made.tls, net::TlsSource::New([context]() -> Context { return context; }));
  made.authority = own.certificate.text;
  made.made = true;
  return made;
}

Result<ServingCertificate> InFolder(env::FileSystem& files, const env::Clock& clock,
                                    CertificateWatch& watch, const CertificateWish& wish) {
  const std::string certificate = wish.folder + "/apiserver.crt";
  const std::string key = wish.folder + "/apiserver.key";
  const bool there = files.Stat(certificate).ok() && files.Stat(key).ok();
  if (!there) {
    ASSIGN_OR_RETURN(const net::SelfSigned own,
                     net::MakeSelfSigned(wish.names, wish.addresses, clock.WallNow()));
    RETURN_IF_ERROR(files.MakeDirectories(wish.folder));
    RETURN_IF_ERROR(files.Replace(key, own.key.text));
    RETURN_IF_ERROR(files.Replace(certificate, own.certificate.text));
  }
  ASSIGN_OR_RETURN(ServingCertificate made, FromFiles(files, clock, watch, certificate, key));
  // What stands there alone is trusted as it stands.
  ASSIGN_OR_RETURN(made.authority, files.Read(certificate, net::kPemBytesMax));
  made.made = !there;
  return made;
}

}  // namespace

Result<ServingCertificate> OpenServingCertificate(env::FileSystem& files, const env::Clock& clock,
                                                  CertificateWatch& watch,
                                                  const CertificateWish& wish) {
  if (!wish.certificate_file.empty()) {
    return FromFiles(files, clock, watch, wish.certificate_file, wish.key_file);
  }
  if (!wish.folder.empty()) return InFolder(files, clock, watch, wish);
  ASSIGN_OR_RETURN(const net::SelfSigned own,
                   net::MakeSelfSigned(wish.names, wish.addresses, clock.WallNow()));
  return InMemory(clock, own);
}

}  // namespace tepal::commands
