#include "scaling/custom_metrics/authorizer.h"

#include <algorithm>

#include "core/json/writer.h"

namespace tepal::custom_metrics {
namespace {

const kube::Collection kAccessReviews{{"authorization.k8s.io", "v1", "subjectaccessreviews", false},
                                      ""};

void WriteTexts(json::Writer& out, const std::vector<std::string>& texts) {
  out.BeginArray();
  for (const std::string& text : texts) out.String(text);
  out.EndArray();
}

void WriteIfAny(json::Writer& out, std::string_view key, const std::string& value) {
  if (!value.empty()) out.Key(key).String(value);
}

bool IsTrue(const json::Value* value) {
  return value != nullptr && value->AsBool() != nullptr && *value->AsBool();
}

Decision DecisionOf(const json::Value& status) {
  return {IsTrue(status.Find("allowed")) && !IsTrue(status.Find("denied")),
          std::string(kube::TextAt(status, "reason"))};
}

std::string_view WithoutSlash(std::string_view path) {
  if (path.starts_with('/')) path.remove_prefix(1);
  return path;
}

}  // namespace

std::string AccessReviewText(const User& user, const RequestAttributes& asked) {
  json::Writer out;
  out.BeginObject().Key("kind").String("SubjectAccessReview");
  out.Key("apiVersion").String("authorization.k8s.io/v1").Key("spec").BeginObject();
  if (asked.is_resource) {
    out.Key("resourceAttributes").BeginObject();
    WriteIfAny(out, "namespace", asked.name_space);
    WriteIfAny(out, "verb", asked.verb);
    WriteIfAny(out, "group", asked.group);
    WriteIfAny(out, "version", asked.version);
    WriteIfAny(out, "resource", asked.resource);
    WriteIfAny(out, "subresource", asked.subresource);
    WriteIfAny(out, "name", asked.name);
    out.EndObject();
  } else {
    out.Key("nonResourceAttributes").BeginObject();
    WriteIfAny(out, "path", asked.path);
    WriteIfAny(out, "verb", asked.verb);
    out.EndObject();
  }
  WriteIfAny(out, "user", user.name);
  if (!user.groups.empty()) {
    out.Key("groups");
    WriteTexts(out, user.groups);
  }
  if (!user.extra.empty()) {
    out.Key("extra").BeginObject();
    for (const auto& [key, values] : user.extra) {
      out.Key(key);
      WriteTexts(out, values);
    }
    out.EndObject();
  }
  WriteIfAny(out, "uid", user.uid);
  out.EndObject().EndObject();
  return out.Take();
}

DelegatingAuthorizer::DelegatingAuthorizer(env::EventLoop& loop, Reviews& reviews, Options options)
    : loop_(loop),
      reviews_(reviews),
      options_(std::move(options)),
      decisions_(std::make_shared<ReviewCache<Decision>>(ReviewCache<Decision>::Options{})) {}

bool DelegatingAuthorizer::AlwaysAllowed(const User& user, const RequestAttributes& asked) const {
  if (std::find(user.groups.begin(), user.groups.end(), "system:masters") != user.groups.end()) {
    return true;
  }
  if (asked.is_resource) return false;
  const std::string_view path = WithoutSlash(asked.path);
  return std::any_of(options_.always_allowed.begin(), options_.always_allowed.end(),
                     [path](std::string_view allowed) {
                       allowed = WithoutSlash(allowed);
                       if (!allowed.ends_with('*')) return path == allowed;
                       return path.starts_with(allowed.substr(0, allowed.size() - 1));
                     });
}

void DelegatingAuthorizer::Authorize(const User& user, const RequestAttributes& asked,
                                     Function<void(Result<Decision>)> done) {
  if (AlwaysAllowed(user, asked)) return done(Decision{true, ""});
  const std::string question = AccessReviewText(user, asked);
  auto on_answer = [done = std::move(done)](const Result<Decision>& answer) mutable {
    done(answer);
  };
  if (!decisions_->Begin(question, loop_.Now(), std::move(on_answer))) return;
  reviews_.Ask(kAccessReviews, question,
               [decisions = decisions_, question, &loop = loop_,
                options = options_](Result<json::Value> status) {
                 if (!status.ok()) {
                   return decisions->End(question, status.status(), Duration(0), loop.Now());
                 }
                 const Decision decision = DecisionOf(*status);
                 decisions->End(question, decision,
                                decision.allowed ? options.allowed_keep : options.denied_keep,
                                loop.Now());
               });
}

}  // namespace tepal::custom_metrics
