#include "balancing/nginx_conf/match_reader.h"

namespace tepal::nginx_conf {

namespace {

using Header = lb::HealthMatch::Header;

class MatchReader {
 public:
  explicit MatchReader(Context& context) : context_(context) { match_.statuses = {{100, 599}}; }

  void Read(const Directive& rule) {
    if (rule.name == "status") return ReadStatus(rule);
    if (rule.name == "header") return ReadHeader(rule);
    if (rule.name == "body") return ReadBody(rule);
    if (rule.name == "require") {
      return context_.NotHonoured(rule, "there are no variables of a check's answer");
    }
    context_.Error(rule, rule.name, "status, header or body");
  }

  lb::HealthMatch::Options Take() { return std::move(match_); }

 private:
  void ReadStatus(const Directive& rule) {
    size_t first = 0;
    const bool others = !rule.words.empty() && rule.words[0] == "!";
    if (others) ++first;
    std::string all;
    for (size_t i = first; i < rule.words.size(); ++i) {
      all += Concat(all.empty() ? "" : ",", rule.words[i]);
    }
    lb::HealthMatch::Options statuses;
    if (!lb::HealthMatch::ParseStatuses(all, statuses).ok()) {
      return context_.Error(rule, all, "statuses and ranges, as 200 or 301-303");
    }
    statuses.other_statuses = others;
    Try(rule, statuses);
    match_.statuses = std::move(statuses.statuses);
    match_.other_statuses = others;
  }

  void ReadHeader(const Directive& rule) {
    constexpr std::string_view kExpected = "NAME, ! NAME, or NAME and a value after =, !=, ~ or !~";
    const std::vector<std::string>& words = rule.words;
    std::string text;
    if (words.size() == 1) {
      text = words[0];
    } else if (words.size() == 2 && words[0] == "!") {
      text = "!" + words[1];
    } else if (words.size() == 3) {
      text = Concat(words[0], " ", words[1], " ");
    } else {
      return context_.Error(rule, Concat(words.size(), " words"), kExpected);
    }
    Result<Header> header = lb::HealthMatch::ParseHeader(text);
    if (!header.ok()) return context_.Error(rule, text, kExpected);
    if (words.size() == 3) header->value = words[2];  // As it stands, also with blanks around.
    lb::HealthMatch::Options alone;
    alone.headers = {*header};
    Try(rule, alone);
    match_.headers.push_back(*std::move(header));
  }

  void ReadBody(const Directive& rule) {
    const std::vector<std::string>& words = rule.words;
    if (words.size() != 2 || (words[0] != "~" && words[0] != "!~")) {
      return context_.Error(rule, words.empty() ? "" : words[0], "~ or !~ and an expression");
    }
    if (!match_.body.empty()) {
      return context_.NotHonoured(rule, "a check has one rule for the body, the first");
    }
    match_.body = words[1];
    match_.body_differs = words[0] == "!~";
    lb::HealthMatch::Options alone;
    alone.body = match_.body;
    Try(rule, alone);
  }

  // Expressions are RE2's here, which have all of PCRE but what looks back and around.
  void Try(const Directive& rule, const lb::HealthMatch::Options& alone) {
    const Status status = lb::HealthMatch::New(alone).status();
    if (!status.ok()) context_.Error(rule.line, status.message());
  }

  Context& context_;
  lb::HealthMatch::Options match_;
};

}  // namespace

lb::HealthMatch::Options ReadMatch(Context& context, const Directive& block) {
  MatchReader reader(context);
  for (const Directive& rule : block.block) reader.Read(rule);
  return reader.Take();
}

}  // namespace tepal::nginx_conf
