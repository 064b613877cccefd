// Commands: each is done once, however often the server hands it over, and its outcome is told until the server knows it.
#ifndef ESPALIER_COMMANDS_H
#define ESPALIER_COMMANDS_H

#include "board.h"
#include "json.h"

namespace espalier {

/// What came of a command. Without a word it succeeded.
class Reply {
 public:
  explicit Reply(Writer& text) : text_(text), ok_(true) {}
  /// It failed, for this reason.
  void fail(const char* reason) {
    ok_ = false;
    text_.clear();
    text_.quoted(Slice(reason));
  }
  /// It succeeded and returns this JSON value.
  void json(const char* value) {
    ok_ = true;
    text_.clear();
    text_.raw(value);
  }
  bool ok() const { return ok_; }

 private:
  Writer& text_;
  bool ok_;
};

/// Does a command; `params` is a JSON object (json::find reads its members).
typedef void (*CommandHandler)(const char* name, Slice params, Reply& reply, void* context);

/// Remembers the newest Count commands.
template <size_t Count>
class Commands {
 public:
  Commands() : handler_(NULL), context_(NULL), next_(0) {}

  void on(CommandHandler handler, void* context) {
    handler_ = handler;
    context_ = context;
  }
  bool wanted() const { return handler_ != NULL; }

  /// Whether an answer, or its beginning, is a list of commands.
  static bool is_list(Slice answer) {
    json::Walk walk(answer);
    Slice name, value;
    while (walk.member(name, value)) {
      if (name.equals("commands")) return true;
    }
    // The walk stops where the list was cut off.
    const char* at = json::skip_space(walk.rest().data, answer.data + answer.size);
    return at < answer.data + answer.size && *at == '[' && name.equals("commands");
  }

  /// Does what `GET …/commands/pending` answered. The text may be cut off at the end: what is whole is done, and a command that
  /// is larger than the memory for it is refused.
  void take(Slice answer, bool cut) {
    Slice list;
    const char* start = static_cast<const char*>(memchr(answer.data, '[', answer.size));
    if (start == NULL) return;
    list = Slice(start, answer.size - static_cast<size_t>(start - answer.data));
    json::Walk walk(list);
    Slice command;
    bool any = false;
    while (walk.item(command)) {
      any = true;
      one(command);
    }
    if (any || !cut) return;
    const char* first = static_cast<const char*>(memchr(list.data, '{', list.size));
    if (first != NULL) too_large(Slice(first, list.size - static_cast<size_t>(first - list.data)));
  }

  /// An outcome that the server does not know yet: writes the body that tells it and returns the command's id; null when none waits.
  const char* unanswered(Writer& body) {
    for (size_t i = 0; i < Count; i++) {
      Outcome& outcome = outcomes_[(next_ + i) % Count];
      if (!outcome.open) continue;
      body.raw(outcome.ok ? "{\"ok\":true" : "{\"ok\":false");
      if (outcome.text[0] != '\0') body.raw(outcome.ok ? ",\"result\":" : ",\"error\":").raw(outcome.text);
      body.put('}');
      return outcome.id;
    }
    return NULL;
  }
  bool open() const {
    for (size_t i = 0; i < Count; i++) {
      if (outcomes_[i].open) return true;
    }
    return false;
  }

  /// The server knows the outcome, or does not want it any more.
  void answered(const char* id) {
    for (size_t i = 0; i < Count; i++) {
      if (strcmp(outcomes_[i].id, id) == 0) outcomes_[i].open = false;
    }
  }

 private:
  struct Outcome {
    Outcome() : ok(false), open(false) { id[0] = text[0] = '\0'; }
    char id[40];
    bool ok;
    bool open;
    char text[160];
  };

  Outcome* known(const char* id) {
    for (size_t i = 0; i < Count; i++) {
      if (outcomes_[i].id[0] != '\0' && strcmp(outcomes_[i].id, id) == 0) return &outcomes_[i];
    }
    return NULL;
  }

  /// A place for an outcome: the oldest one whose outcome the server knows; null when it knows none of them.
  Outcome* place() {
    for (size_t i = 0; i < Count; i++) {
      Outcome& outcome = outcomes_[(next_ + i) % Count];
      if (outcome.open) continue;
      next_ = (next_ + i + 1) % Count;
      return &outcome;
    }
    return NULL;
  }

  /// Whether an id may stand in a path.
  static bool is_id(const char* id) {
    for (const char* c = id; *c != '\0'; c++) {
      const bool plain = (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '-' || *c == '_';
      if (!plain) return false;
    }
    return *id != '\0';
  }

  /// Reads the id and finds a place for a command that is new; a known one is only told again.
  Outcome* fresh(Slice command) {
    Slice text;
    Text<40> id;
    if (!json::find(command, "id", text) || !json::to_text(text, id) || !is_id(id.c_str())) return NULL;
    Outcome* outcome = known(id.c_str());
    if (outcome != NULL) {
      outcome->open = true;
      return NULL;
    }
    outcome = place();
    if (outcome == NULL) return NULL;
    copy_text(outcome->id, sizeof outcome->id, id.slice());
    outcome->open = true;
    return outcome;
  }

  void one(Slice command) {
    Outcome* outcome = fresh(command);
    if (outcome == NULL) return;
    Writer text(outcome->text, sizeof outcome->text);
    Reply reply(text);
    Text<68> name;
    Slice value, params;
    if (!json::find(command, "name", value) || !json::to_text(value, name)) {
      reply.fail("the command has no name");
    } else {
      json::find(command, "params", params);
      handler_(name.c_str(), params, reply, context_);
    }
    if (!text.ok()) reply.fail("the result is too long for this board");
    outcome->ok = reply.ok();
  }

  void too_large(Slice command) {
    Outcome* outcome = fresh(command);
    if (outcome == NULL) return;
    Writer text(outcome->text, sizeof outcome->text);
    Reply reply(text);
    reply.fail("the command is too large for this board");
    outcome->ok = false;
  }

  CommandHandler handler_;
  void* context_;
  Outcome outcomes_[Count];
  size_t next_;
};

}  // namespace espalier

#endif
