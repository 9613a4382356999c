//! Facts about every information store.
//!
//! A file for each room; here are the suite and what its facts are told with. Surprising: whatever a fact does by [`unit`],
//! [`claimed`] or [`learn`] is followed by a count of all deliveries, which must be what the tally says.

mod approval;
mod audit;
mod custody;
mod delivery;
mod distribution;
mod erasure;
mod expansion;
mod flow;
mod follower;
mod gate;
mod holder;
mod list;
mod records;
mod restart;
mod review;
mod trial;
mod walk;

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    delivery::{DeliveryState, Purpose, Signal},
    dialogue::{Dialogue, Rules},
    distribution::Command,
    eligibility::Tie,
    id::{DialogueId, DistributionId, FollowerId, MessageId, TieId},
    identity::IdentityMethod,
    phone_number::PhoneNumber,
    silence::Silence,
    template::{Template, Variable, VariableKind},
};
use uuid::Uuid;

pub(crate) use self::{
    approval::*, audit::*, custody::*, delivery::*, distribution::*, erasure::*, expansion::*, flow::*,
    follower::*, gate::*, holder::*, list::*, records::*, restart::*, review::*, trial::*, walk::*,
};
use crate::information::{
    FollowerKey, InformationStore,
    delivery::{Attempt, AttemptOutcome, AttemptResult, Claim, Claimed, Source},
    distribution::{NewDistribution, Order, Templates},
    erasure::Asker,
    flow::{FollowerRecord, Matched, NewDelivery, Scope, Subscription, TieRecord, Work},
};

/// What facts look at besides the store's own methods.
#[async_trait]
pub(crate) trait Bench: InformationStore {
    /// The counts of deliveries as they are kept, and counted afresh; none that is zero.
    async fn tallies(&self) -> [Vec<String>; 2];
    /// How many rows were written since the store was opened.
    async fn rows_written(&self) -> i64;
    /// Every table of the schema with every column, as the database's own catalogue has them.
    async fn columns(&self) -> Vec<(String, String)>;
    /// In how many rows a tie stands.
    fn rows_of_a_tie(&self) -> i64;
    /// The audit: company, account and follower (hexadecimal) or `-`, action, detail.
    async fn audits(&self) -> Vec<String>;
    /// Does to the audit what nobody may, as somebody who owns the database could.
    async fn tamper(&self, sql: &str);
    /// Tries the same without taking anything away that forbids it; gives what the database says.
    async fn tamper_openly(&self, sql: &str) -> String;
    /// Where a delivery stands.
    async fn delivery_state(&self, key: &FollowerKey, message: MessageId) -> Option<DeliveryState>;
    /// The distribution's message to this follower.
    async fn message_of(&self, id: DistributionId, key: &FollowerKey) -> MessageId;
}

/// Runs every fact on a backend; `$open` gives a fresh empty store and what has to live as long as it. Or, `in_turn`, all on one
/// store, unless `$before`, which brings it back to nothing, says of a fact's name that it is left out.
macro_rules! information_store_suite {
    (in_turn $store:expr, $before:expr) => {
        crate::conformance::information::information_store_suite!(@facts in_turn {$store, $before});
    };
    ($open:expr) => {
        crate::conformance::information::information_store_suite!(@facts tests {$open});
    };
    (@facts $how:ident $with:tt) => {
        crate::conformance::information::information_store_suite!(@$how $with;
            records_read_back_as_they_were_written,
            an_edit_that_changes_nothing_writes_nothing,
            who_is_believed_to_be_new_and_is_there_is_found_all_the_same,
            an_edit_writes_only_what_it_changed,
            a_unit_whose_edit_panics_leaves_nothing,
            a_unit_given_up_half_way_leaves_nothing_or_everything,
            a_follower_named_twice_is_loaded_once,
            taken_events_are_seen_next_time_at_their_carrier,
            forgotten_events_are_new_again,
            a_delivery_made_twice_exists_once,
            receipts_move_states_and_tally_forward,
            a_receipt_that_names_another_follower_moves_nothing,
            withdrawing_revokes_what_no_carrier_has,
            what_is_made_in_the_unit_of_a_withdrawal_stays,
            a_follower_has_at_most_one_live_tie,
            guesses_are_counted_apart,
            counts_that_an_edit_lacks_are_loaded_for_it,
            tries_at_once_pass_no_limit_and_none_is_lost,
            due_dialogues_come_in_order_up_to_the_limit,
            a_dialogue_is_due_for_one_who_asks,
            a_claimed_inquiry_waits_for_its_lease_to_end,
            the_oldest_that_is_due_is_known_of_each_kind,
            inquiries_go_to_their_own_company,
            a_unit_tells_the_audit_and_the_acquisition,
            confirmed_followers_with_values_get_the_individual_message,
            on_any_doubt_the_first_attempt_is_uniform,
            who_does_not_follow_gets_nothing,
            an_individual_retry_goes_to_its_own_tie_or_not_at_all,
            an_individual_retry_that_is_allowed_says_the_same,
            a_uniform_retry_stays_uniform,
            requests_leave_only_in_the_present_dialogue,
            values_are_of_the_customer_of_the_tie,
            a_distribution_that_does_not_run_yields_nothing,
            a_claim_takes_what_is_due_in_order_up_to_its_limit,
            a_claim_takes_only_its_own_carrier_and_source,
            what_is_due_is_told_by_source_and_up_to_the_limit,
            a_claimed_delivery_is_due_again_after_its_lease,
            too_many_failures_are_dead,
            what_the_carrier_puts_off_or_does_not_answer_is_no_failure,
            a_delivery_past_its_time_expires,
            unknown_outcomes_are_due_again_and_count,
            results_of_an_earlier_attempt_move_states_but_not_leases,
            a_receipt_may_come_before_the_acceptance,
            results_are_recorded_once_and_in_their_order,
            signals_of_one_batch_move_deliveries_one_after_the_other,
            results_for_another_follower_change_nothing,
            accepted_deliveries_without_a_receipt_expire,
            what_was_asked_for_waits_for_another_person,
            two_approvers_at_once_do_it_once,
            an_approved_export_is_given_once_to_who_asked,
            what_nobody_decides_in_time_expires_and_names_nobody,
            what_was_asked_for_is_listed_in_pages,
            a_quarantined_list_is_released_as_it_was_shown,
            a_large_distribution_is_submitted_and_started_by_who_did_not_prepare_it,
            what_was_looked_at_is_what_is_started,
            a_list_is_acquired_by_one_at_a_time,
            lists_are_due_in_turn,
            a_list_is_read_in_pages_of_followers,
            suspended_ties_are_found_by_account,
            holders_are_due_in_order_up_to_the_limit_and_leased,
            an_expired_tie_is_asked_about_no_more,
            who_is_not_reached_is_suspended_with_the_refusal_and_told_once,
            acquisitions_are_counted,
            whatever_happens_the_tally_is_the_count,
            the_same_request_gives_the_same_draft_and_another_is_refused,
            a_draft_that_would_have_expired_is_refused_but_not_its_repetition,
            a_customer_whose_values_come_twice_counts_once,
            only_drafts_take_values,
            commands_are_obeyed_once_and_are_in_the_audit,
            a_start_sets_the_times_once,
            what_is_submitted_takes_no_values_until_it_is_sent_back,
            another_company_sees_no_distribution,
            distributions_are_listed_newest_first,
            distributions_are_listed_by_where_they_stand,
            templates_read_back_as_they_were_given,
            a_preview_is_what_is_sent,
            counts_tell_where_deliveries_stand,
            every_tap_is_counted_by_button_and_distribution,
            a_trial_goes_to_who_was_named_and_shows_nobody_anothers,
            the_same_trial_again_sends_nothing_again,
            a_trial_counts_for_nothing_and_is_no_distribution,
            a_trial_is_over_soon,
            only_what_is_not_sent_is_tried_and_not_too_often,
            every_follower_gets_one_delivery_over_their_carrier,
            an_expansion_goes_on_where_it_stopped,
            who_follows_while_it_is_made_gets_it_too,
            only_a_running_distribution_whose_time_has_come_is_expanded,
            followers_are_attempted_as_they_are_walked,
            who_is_due_and_who_is_walked_are_claimed_together,
            what_is_expanded_too_late_is_expired,
            overdue_deliveries_expire_unless_an_attempt_is_under_way,
            a_distribution_is_completed_when_nothing_of_it_is_live,
            cancelling_withdraws_what_was_never_attempted,
            what_a_carrier_may_have_is_asked_back_once,
            an_attempt_under_way_is_waited_for,
            what_a_silent_carrier_may_have_of_a_cancelled_distribution_expires,
            a_receipt_between_asking_and_recording_wins,
            customers_are_found_by_account_key_and_joint_accounts_both,
            a_copy_answers_nothing_until_it_is_whole,
            a_new_copy_replaces_the_one_before,
            a_copy_whose_lease_is_over_answers_nothing_and_leaves_a_record,
            a_purge_goes_in_batches_and_is_told_when_the_last_row_is_gone,
            a_purge_that_is_asked_for_destroys_everything_and_may_be_repeated,
            an_abandoned_copy_is_given_up,
            a_copy_that_was_given_up_does_not_end_the_one_in_effect,
            another_companys_copy_is_out_of_reach,
            entrusted_keys_of_other_rules_are_made_anew_until_none_is_left,
            customers_of_a_blind_copy_are_found_by_digest_with_the_key_that_made_it,
            digests_are_made_anew_by_nobody_here,
            the_last_digests_of_a_customer_stand,
            plain_and_blind_copies_replace_one_another,
            a_blind_copy_ends_as_any_other,
            a_funnel_counts_every_follower_once,
            messages_and_acquisitions_are_told_by_account_and_carrier,
            pages_go_by_follower_and_end,
            an_outcome_filters_what_is_listed,
            a_follower_is_told_with_the_customer_and_the_reasons,
            what_happens_in_a_day_is_counted_once_and_forgotten_in_time,
            every_page_is_in_the_audit,
            a_customer_is_tied_to_one_number_of_an_account,
            a_tie_goes_from_one_number_to_another_in_one_unit,
            who_has_a_customers_tie_is_loaded_with_it,
            a_review_waits_with_its_follower_and_leaves_a_record,
            a_review_that_waits_no_more_keeps_nothing_of_the_person,
            reviews_are_listed_in_pages_by_account_and_state,
            a_review_is_told_with_what_an_approval_would_end,
            another_companys_review_is_out_of_reach,
            a_look_at_a_review_is_in_the_audit,
            who_moves_is_in_the_audit_and_many_are_by_a_count_and_a_digest,
            lines_are_sealed_in_batches_and_verified,
            whatever_is_done_to_sealed_lines_is_found,
            whatever_is_done_to_seals_is_found,
            a_tail_that_was_cut_is_found_by_the_head_that_was_kept,
            nothing_is_skipped_beside_writers,
            a_company_reads_its_own_lines_alone,
            nobody_changes_the_audit_openly,
            the_count_of_a_life_outlives_an_erasure,
            every_table_has_its_place,
            of_an_erased_follower_nothing_is_left_and_counts_stay,
            an_erasure_touches_nobody_else,
            an_erasure_is_claimed_once_and_again_after_its_lease,
            who_asks_twice_is_erased_once_and_can_be_again,
            who_follows_again_is_not_erased_for_having_left,
            who_comes_back_is_known_to_have_been_erased,
            who_comes_back_while_a_distribution_runs_gets_no_second_message,
            what_a_carrier_has_for_one_alone_is_told_before_an_erasure,
            a_receipt_of_an_erased_message_changes_nothing,
            an_erasure_beside_an_attempt_under_way_leaves_nothing,
            a_journal_is_replayed_where_it_is_not_known,
            all_that_is_held_is_exported_and_that_is_in_the_audit,
            a_consent_is_kept_once_with_its_text,
            guesses_are_forgotten_when_their_window_has_ended,
        );
    };
    (@tests {$open:expr}; $($fact:ident,)+) => {
        $(
            #[tokio::test]
            async fn $fact() {
                let (store, _alive) = $open.await;
                crate::conformance::information::$fact(&store).await;
            }
        )+
    };
    (@in_turn {$store:expr, $before:expr}; $($fact:ident,)+) => {
        $(
            if $before(stringify!($fact)).await {
                Box::pin(crate::conformance::information::$fact(&$store)).await;
            }
        )+
    };
}
pub(crate) use information_store_suite;

/// So many seconds after the facts begin.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// An id as configured: a company's, an account's, a carrier's, a customer's.
pub(crate) fn named<T: std::str::FromStr<Err: std::fmt::Debug>>(name: &str) -> T {
    name.parse().unwrap()
}

/// The account's follower with this id; the same number in another account is another follower with the same bytes.
pub(crate) fn key(account: &str, last: u8) -> FollowerKey {
    FollowerKey { account: named(account), follower: FollowerId::from_bytes([last; 16]) }
}

pub(crate) fn keys(account: &str, lasts: impl IntoIterator<Item = u8>) -> Vec<FollowerKey> {
    lasts.into_iter().map(|last| key(account, last)).collect()
}

pub(crate) fn number(last: u8) -> PhoneNumber {
    format!("+8190{last:08}").parse().unwrap()
}

/// The first dialogue with a follower.
pub(crate) fn dialogue_id(key: &FollowerKey) -> DialogueId {
    DialogueId::derive(key.follower, 0)
}

/// A follower on the list of carrier alpha since the beginning, whose dialogue waits.
pub(crate) fn follower(last: u8) -> FollowerRecord {
    let key = key("any", last);
    FollowerRecord {
        phone_number: number(last),
        carrier: named("alpha"),
        following: true,
        follow_time: at(0),
        suspended: false,
        subscriptions: vec![Subscription { carrier: named("alpha"), following: true, change_time: at(0) }],
        dialogue: Some(Dialogue::begin(dialogue_id(&key), 0, &Rules::default(), at(0))),
        matched: Matched::default(),
        shown: None,
        tie: None,
        former_customer: None,
        inquiry: None,
        review: None,
    }
}

/// A live tie to this customer.
pub(crate) fn tie(key: &FollowerKey, customer: &str) -> TieRecord {
    let tie = Tie {
        id: TieId::derive(dialogue_id(key)),
        customer_id: named(customer),
        suspended: false,
        expire_time: at(1_000_000),
        holder: Silence::of_days(30).proved(at(0)),
    };
    TieRecord { tie, method: IdentityMethod::Jpki, tie_time: at(0) }
}

/// The tally is what a count of all deliveries gives.
pub(crate) async fn balanced(store: &dyn Bench) {
    let [kept, counted] = store.tallies().await;
    assert_eq!(kept, counted, "tally and deliveries differ");
}

/// A unit of work.
pub(crate) async fn unit(store: &dyn Bench, scope: &Scope, mut edit: impl FnMut(&mut Work) + Send) {
    store.work("fact", scope, at(0), &mut edit).await.unwrap();
    balanced(store).await;
}

pub(crate) fn of(followers: Vec<FollowerKey>) -> Scope {
    Scope { followers, ..Scope::default() }
}

/// Stores followers.
pub(crate) async fn put(store: &dyn Bench, followers: Vec<(FollowerKey, FollowerRecord)>) {
    let scope = of(followers.iter().map(|(key, _)| key.clone()).collect());
    unit(store, &scope, |work| work.followers.extend(followers.clone())).await;
}

/// Stores plain followers of an account with these ids.
pub(crate) async fn follow(store: &dyn Bench, account: &str, lasts: impl IntoIterator<Item = u8>) {
    put(store, lasts.into_iter().map(|last| (key(account, last), follower(last))).collect()).await;
}

/// Ties followers of an account to customers.
pub(crate) async fn tied(store: &dyn Bench, account: &str, ties: &[(u8, &str)]) {
    for (last, customer) in ties {
        let key = key(account, *last);
        change(store, &key, |record| record.tie = Some(tie(&key, customer))).await;
    }
}

/// Reads followers.
pub(crate) async fn load(
    store: &dyn InformationStore,
    keys: Vec<FollowerKey>,
) -> HashMap<FollowerKey, FollowerRecord> {
    let mut loaded = HashMap::new();
    let mut look = |work: &mut Work| loaded.clone_from(&work.followers);
    store.work("look", &of(keys), at(0), &mut look).await.unwrap();
    loaded
}

/// Changes a follower.
pub(crate) async fn change(
    store: &dyn Bench,
    key: &FollowerKey,
    mut edit: impl FnMut(&mut FollowerRecord) + Send,
) {
    unit(store, &of(vec![key.clone()]), |work| edit(work.followers.get_mut(key).unwrap())).await;
}

/// The `count`th message of a follower's dialogue.
pub(crate) fn request(key: &FollowerKey, count: u32) -> NewDelivery {
    // Outside, two accounts never have a dialogue in common; here they may.
    let said = at(i64::from(key.account.as_str().as_bytes()[0]));
    NewDelivery {
        key: key.clone(),
        message_id: MessageId::of_dialogue(dialogue_id(key), count, said),
        carrier: named("alpha"),
        purpose: Purpose::Question,
        dialogue: (dialogue_id(key), 1),
        due_time: at(0),
        expire_time: at(100_000),
    }
}

/// Makes deliveries.
pub(crate) async fn deliver(store: &dyn Bench, deliveries: &[NewDelivery]) {
    unit(store, &Scope::default(), |work| work.deliveries = deliveries.to_vec()).await;
}

/// Where messages stand; those that don't exist are left out.
pub(crate) async fn states(store: &dyn Bench, messages: &[(FollowerKey, MessageId)]) -> Vec<DeliveryState> {
    let mut found = Vec::new();
    for (key, message) in messages {
        found.extend(store.delivery_state(key, *message).await);
    }
    found
}

/// Where the distribution's message to this follower stands.
pub(crate) async fn state_of(store: &dyn Bench, id: DistributionId, key: &FollowerKey) -> DeliveryState {
    states(store, &[(key.clone(), store.message_of(id, key).await)]).await[0]
}

/// A draft of the bank's or whosever the account is, with values for these customers.
pub(crate) async fn draft(
    store: &dyn Bench,
    account: &str,
    id: u8,
    values: &[(&str, &str)],
    start: i64,
) -> DistributionId {
    let new = NewDistribution {
        id: DistributionId::from_bytes([id; 16]),
        company: named(account),
        account: named(account),
        request_id: Uuid::from_u128(u128::from(id)),
        digest: [id; 32],
        name: "名".to_owned(),
        templates: Templates {
            uniform: Template::parse("お知らせ", Vec::new(), Vec::new()).unwrap(),
            individual: Some(
                Template::parse(
                    "{what}",
                    Vec::new(),
                    vec![Variable { name: "what".to_owned(), kind: VariableKind::Text }],
                )
                .unwrap(),
            ),
        },
        start_time: Some(at(start)),
        expire_time: Some(at(50_000)),
        messages_per_second: 0,
        operator: named("sato"),
    };
    store.create_distribution(&new, at(0)).await.unwrap();
    let values: Vec<_> =
        values.iter().map(|(customer, value)| (named(customer), vec![(*value).to_owned()])).collect();
    store.put_values(&new.company, new.id, &values, (&named("sato"), at(0))).await.unwrap();
    new.id
}

/// A command of the company that the account belongs to: they bear the same name here.
pub(crate) async fn command(store: &dyn Bench, account: &str, id: DistributionId, command: Command) {
    store.command_distribution(&named(account), id, &order(command), at(0)).await.unwrap();
}

/// Who asks, of a company.
pub(crate) fn asker_of(company: &str, operator: &str) -> Asker {
    Asker { company: named(company), operator: named(operator) }
}

/// A command of sato's, who may start what they prepared.
pub(crate) fn order(command: Command) -> Order {
    order_of(command, "sato", u64::MAX)
}

/// A command, whose company wants a second person above so many followers.
pub(crate) fn order_of(command: Command, operator: &str, alone_up_to: u64) -> Order {
    Order { command, operator: named(operator), alone_up_to, looked_at: None }
}

/// A running distribution, with a delivery for every follower of the account.
pub(crate) async fn distribute(
    store: &dyn Bench,
    account: &str,
    id: u8,
    values: &[(&str, &str)],
) -> DistributionId {
    let id = draft(store, account, id, values, 0).await;
    command(store, account, id, Command::Start).await;
    assert!(!walk(store, id, 1_000, 0).await.1);
    id
}

/// Walks the next followers of a distribution for a carrier that nobody has, so that their deliveries wait. Gives how many
/// there were, and whether there may be more.
pub(crate) async fn walk(store: &dyn Bench, id: DistributionId, limit: u32, second: i64) -> (u32, bool) {
    let nobodys = Claim { carrier: named("nobody"), limit, ..claim(Source::Distribution(id), second) };
    let Claimed { attempts, seen, more } = claimed(store, &nobodys).await;
    assert_eq!(attempts, []);
    (seen, more)
}

/// The messages of an account's dialogues.
pub(crate) fn dialogues(account: &str) -> Source {
    Source::Dialogues(named(account))
}

/// A claim over carrier alpha, with a lease of a minute and three attempts.
pub(crate) fn claim(source: Source, second: i64) -> Claim {
    Claim {
        carrier: named("alpha"),
        source,
        limit: 1_000,
        now: at(second),
        lease_end: at(second + 60),
        attempts_limit: 3,
    }
}

pub(crate) async fn claimed(store: &dyn Bench, claim: &Claim) -> Claimed {
    let claimed = store.claim(claim).await.unwrap();
    balanced(store).await;
    claimed
}

/// The attempts of a claim, by follower.
pub(crate) async fn attempts(store: &dyn Bench, source: Source, second: i64) -> Vec<Attempt> {
    let mut attempts = claimed(store, &claim(source, second)).await.attempts;
    attempts.sort_by(|one, other| (&one.key, one.message_id).cmp(&(&other.key, other.message_id)));
    attempts
}

pub(crate) fn result(attempt: &Attempt, outcome: AttemptOutcome) -> AttemptResult {
    let Attempt { key, message_id, attempt, .. } = attempt.clone();
    AttemptResult { key, message_id, attempt, outcome }
}

/// Five attempts that have started.
pub(crate) async fn started(store: &dyn Bench) -> Vec<Attempt> {
    follow(store, "bank", 1..6).await;
    let deliveries: Vec<_> = keys("bank", 1..6).iter().map(|key| request(key, 0)).collect();
    deliver(store, &deliveries).await;
    attempts(store, dialogues("bank"), 0).await
}

/// The same signal about each of these.
pub(crate) fn told(attempts: &[Attempt], signal: Signal) -> Vec<AttemptResult> {
    attempts.iter().map(|attempt| result(attempt, AttemptOutcome::Known(signal))).collect()
}

/// Records outcomes.
pub(crate) async fn learn(store: &dyn Bench, results: &[AttemptResult], second: i64) {
    store.record(results, at(second)).await.unwrap();
    balanced(store).await;
}

/// Numbers that look random, the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }

    pub(crate) fn flip(&mut self) -> bool {
        self.roll(2) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.roll(from.len() as u64)).unwrap()].clone()
    }
}
