#include "scaling/custom_metrics/authenticator.h"

#include <algorithm>

#include "core/base/text.h"
#include "core/json/writer.h"

namespace tepal::custom_metrics {
namespace {

const kube::Collection kTokenReviews{{"authentication.k8s.io", "v1", "tokenreviews", false}, ""};

Status Unauthenticated(std::string message) {
  return {StatusCode::kUnauthenticated, std::move(message)};
}

// "Bearer TOKEN"; empty: there is none.
std::string TokenOf(const http::Headers& headers) {
  const auto field = headers.Get("authorization");
  if (!field) return {};
  const std::string_view text = Trim(*field);
  const size_t space = text.find(' ');
  if (space == std::string_view::npos || !EqualsIgnoreCase(text.substr(0, space), "bearer")) {
    return {};
  }
  const std::string_view rest = Trim(text.substr(space + 1));
  return std::string(rest.substr(0, rest.find(' ')));
}

std::string ReviewOf(const std::string& token) {
  json::Writer out;
  out.BeginObject().Key("kind").String("TokenReview");
  out.Key("apiVersion").String("authentication.k8s.io/v1").Key("spec").BeginObject();
  out.Key("token").String(token).EndObject().EndObject();
  return out.Take();
}

std::vector<std::string> TextsOf(const json::Value* list) {
  std::vector<std::string> texts;
  if (list == nullptr || list->AsArray() == nullptr) return texts;
  for (const json::Value& one : *list->AsArray()) {
    if (one.AsString() != nullptr) texts.push_back(*one.AsString());
  }
  return texts;
}

// Without a name: the token is not valid.
User UserOfReview(const json::Value& status) {
  User user;
  const json::Value* const good = status.Find("authenticated");
  if (good == nullptr || good->AsBool() == nullptr || !*good->AsBool()) return user;
  user.name = kube::TextAt(status, "user", "username");
  user.uid = kube::TextAt(status, "user", "uid");
  const json::Value* const who = status.Find("user");
  if (who == nullptr) return user;
  user.groups = TextsOf(who->Find("groups"));
  const json::Value* const extra = who->Find("extra");
  if (extra != nullptr && extra->AsObject() != nullptr) {
    for (const auto& [key, values] : *extra->AsObject()) user.extra[key] = TextsOf(&values);
  }
  return user;
}

bool ValidAt(const Result<net::CertifiedPeer>& peer, WallTime now) {
  return !peer.ok() || (now >= peer->not_before && now <= peer->not_after);
}

Result<net::CertifiedPeer> CheckBy(const net::CertificateAuthorities* authorities,
                                   const net::PeerCertificates& shown, WallTime now) {
  if (authorities == nullptr) return NotFound("no such authorities");
  return authorities->Check(shown, now);
}

}  // namespace

DelegatingAuthenticator::DelegatingAuthenticator(World world, Options options)
    : world_(std::move(world)),
      options_(options),
      tokens_(std::make_shared<ReviewCache<User>>(ReviewCache<User>::Options{})) {}

void DelegatingAuthenticator::Authenticate(const Claims& claims,
                                           Function<void(Result<User>)> done) {
  // kNotFound: there was nothing to look at.
  Result<User> certified =
      claims.shown != nullptr ? ByCertificate(claims) : Result<User>(NotFound("none"));
  if (certified.ok()) return done(WithAuthenticatedGroup(*std::move(certified)));
  const std::string token = world_.reviews != nullptr ? TokenOf(claims.headers) : std::string();
  if (!token.empty()) return ByToken(token, std::move(done));
  if (certified.status().code() == StatusCode::kNotFound) return done(AnonymousUser());
  done(certified.status());
}

Result<User> DelegatingAuthenticator::ByCertificate(const Claims& claims) {
  const std::shared_ptr<const Trust> trust = world_.trust();
  if (trust == nullptr) {
    return Unavailable("the authorities that clients are checked by are not known yet");
  }
  const Checked& checked = Check(claims.shown, trust);
  Status why = NotFound("no authorities");
  if (checked.front_proxy.ok()) {
    const auto& names = trust->config.allowed_names;
    const std::string& name = checked.front_proxy->common_name;
    if (!names.empty() && std::find(names.begin(), names.end(), name) == names.end()) {
      why = Unauthenticated(Concat("the front proxy's certificate: subject with cn=", name,
                                   " is not in the allowed list"));
    } else if (auto user = UserOfHeaders(trust->config, claims.headers)) {
      return *std::move(user);
    }
  } else if (trust->front_proxy != nullptr) {
    why = checked.front_proxy.status();
  }
  if (checked.client.ok()) {
    if (auto user = UserOfCertificate(*checked.client)) return *std::move(user);
  } else if (trust->clients != nullptr) {
    why = checked.client.status();
  }
  return why;
}

const DelegatingAuthenticator::Checked& DelegatingAuthenticator::Check(
    const std::shared_ptr<const net::PeerCertificates>& shown,
    const std::shared_ptr<const Trust>& trust) {
  const WallTime now = world_.loop.WallNow();
  const auto known = std::find_if(chains_.begin(), chains_.end(),
                                  [&](const Checked& one) { return one.shown == shown; });
  if (known != chains_.end()) {
    const bool holds = known->trust == trust && ValidAt(known->front_proxy, now) &&
                       ValidAt(known->client, now) &&
                       (known->front_proxy.ok() || known->client.ok());
    if (holds) {
      chains_.splice(chains_.begin(), chains_, known);
      return chains_.front();
    }
    chains_.erase(known);
  }
  chains_.push_front({shown, trust, CheckBy(trust->front_proxy.get(), *shown, now),
                      CheckBy(trust->clients.get(), *shown, now)});
  if (chains_.size() > options_.chains_max) chains_.pop_back();
  return chains_.front();
}

void DelegatingAuthenticator::ByToken(const std::string& token, Function<void(Result<User>)> done) {
  auto on_answer = [done = std::move(done)](const Result<User>& reviewed) mutable {
    if (reviewed.ok() && reviewed->name.empty()) {
      return done(Unauthenticated("the bearer token is not valid"));
    }
    if (!reviewed.ok()) return done(reviewed.status());
    done(WithAuthenticatedGroup(*reviewed));
  };
  if (!tokens_->Begin(token, world_.loop.Now(), std::move(on_answer))) return;
  world_.reviews->Ask(kTokenReviews, ReviewOf(token),
                      [tokens = tokens_, token, &loop = world_.loop,
                       keep = options_.token_keep](Result<json::Value> status) {
                        const Result<User> user =
                            status.ok() ? Result<User>(UserOfReview(*status)) : status.status();
                        tokens->End(token, user, keep, loop.Now());
                      });
}

}  // namespace tepal::custom_metrics
