//! What holds for every path.

use espalier_testkit::story;

story!(
    an_unknown_path_is_a_problem_with_a_request_id,
    |app| async move {
        let answer = app.anonymous().get("/nothing-here").await;
        let problem = answer.expect(404);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(problem["code"], "no_such_path");
        assert_eq!(
            problem["request_id"],
            answer.headers["x-request-id"].to_str().unwrap()
        );
    }
);
