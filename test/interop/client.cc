// gRPC's interoperability cases from our client against any server of grpc.testing.TestService.
//
// Prints a line a case; exits with 1 when one has failed.

#include <cstdio>
#include <cstdlib>

#include "core/base/text.h"
#include "core/options/flags.h"
#include "test/interop/client_cases.h"
#include "test/interop/program.h"

namespace tepal::interop {
namespace {

constexpr Duration kCaseTimeMax = 60s;

struct Options {
  std::string server = "127.0.0.1:10000";
  std::string case_name;  // Empty: all.
  bool gzip = false;
  std::string tls_ca, tls_name;
};

// Whether it went well. One that hangs ends the program.
bool RunCase(const Case& which, const Channel& channel) {
  const auto timer = channel.loop.RunAfter(kCaseTimeMax, [&which] {
    std::printf("%-28s FAILED: not over within 60 s\n", which.name);
    std::fflush(stdout);
    std::_Exit(1);
  });
  const Status status = which.run(channel);
  channel.loop.Cancel(timer);
  std::printf("%-28s %s\n", which.name,
              status.ok() ? "ok" : Concat("FAILED: ", status.message()).c_str());
  std::fflush(stdout);
  return status.ok();
}

Status RunCases(const Options& options) {
  ASSIGN_OR_RETURN(const std::unique_ptr<runtime::EpollLoop> loop, runtime::EpollLoop::New());
  ASSIGN_OR_RETURN(const env::Address server, env::Address::Parse(options.server));
  net::HttpClient::Options client_options;
  client_options.http2 = true;
  if (!options.tls_ca.empty()) {
    net::TlsSource::ClientFiles files;
    files.ca = options.tls_ca;
    files.server_name = options.tls_name;
    ASSIGN_OR_RETURN(client_options.tls,
                     net::TlsSource::ForClient(runtime::SystemFileSystem(), runtime::SystemClock(),
                                               std::move(files)));
  }
  net::HttpClient client(*loop, client_options);
  Channel channel{*loop, client, server, options.tls_name, {}};
  if (options.gzip) channel.compression.encoding = http::Encoding::kGzip;
  int run = 0, failed = 0;
  for (const Case& which : AllCases()) {
    if (!options.case_name.empty() && options.case_name != which.name) continue;
    ++run;
    if (!RunCase(which, channel)) ++failed;
  }
  if (run == 0)
    return InvalidArgument(
        Concat("--case: got '", options.case_name, "', expected one of the cases"));
  if (failed > 0) return Internal(Concat(failed, " of ", run, " cases failed"));
  return {};
}

}  // namespace
}  // namespace tepal::interop

int main(int argc, char** argv) {
  tepal::interop::Options options;
  tepal::options::FlagSet flags("interop_client [FLAGS]",
                                "gRPC's interoperability cases from our client.");
  flags.Add("server", &options.server, "HOST:PORT, numeric.");
  flags.Add("case", &options.case_name, "One case; empty: all.");
  flags.Add("gzip", &options.gzip, "Compress requests.");
  flags.Add("tls-ca", &options.tls_ca,
            "PEM file of who signs the server's certificate; with it, TLS.");
  flags.Add("tls-name", &options.tls_name, "The name that the certificate must be for.");
  return tepal::interop::RunMain(flags, argc, argv, [&] { return RunCases(options); });
}
