/* Alarms: the one that the quota raises, and those that clients set and take back. */
#include "unit/node/lone.h"

/* Over the quota a put is told so, the alarm is on, reads and deletes go on, and disarming helps.
 */
static void the_quota_raises_an_alarm(void **state)
{
    struct simdisk *disk = simdisk_new(7);
    struct member *m = lone_new(disk, 7);
    Etcdserverpb__AlarmRequest alarm = ETCDSERVERPB__ALARM_REQUEST__INIT;
    struct node_alarm on[4];
    char big[3000];
    int tries = 0;
    struct call *c;

    (void) state;
    m->cfg.quota_bytes = 64 * 1024;
    lone_open(m);
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    while (member_put(m, "a", big) != 0 && tries < 200) {
        tries++;
        assert_true(member_run(m, 150, NULL));
    }
    assert_in_range(tries, 1, 100);
    assert_true(member_run(m, 200, NULL));
    assert_int_equal(node_alarms(m->node, on, 4), 1);
    assert_int_equal(on[0].kind, 1);
    assert_int_equal(member_put(m, "b", "small"), 0);
    alarm.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__DEACTIVATE;
    alarm.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    alarm.memberid = on[0].member_id;
    c = member_propose(m, 10, &alarm.base);
    assert_int_equal(((Etcdserverpb__AlarmResponse *) c->r.result.msg)->n_alarms, 1);
    call_free(c);
    assert_int_equal(node_alarms(m->node, on, 4), 0);
    lone_end(m, disk);
}

/* Setting an alarm, and taking it back, is answered by that alarm alone, also in the name of member
 * 0. */
static void alarms_are_answered_alone(void **state)
{
    struct simdisk *disk = simdisk_new(17);
    struct member *m = lone_fresh(disk, 17);
    Etcdserverpb__AlarmRequest alarm = ETCDSERVERPB__ALARM_REQUEST__INIT;
    static const struct {
        int activate;
        uint64_t id;
    } steps[] = {{1, 5}, {1, 0}, {0, 0}, {0, 5}};

    (void) state;
    alarm.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct call *c;
        Etcdserverpb__AlarmResponse *res;

        alarm.action = steps[i].activate ? ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE
                                         : ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__DEACTIVATE;
        alarm.memberid = steps[i].id;
        c = member_propose(m, 10, &alarm.base);
        res = (Etcdserverpb__AlarmResponse *) c->r.result.msg;
        assert_int_equal(res->n_alarms, 1);
        assert_int_equal(res->alarms[0]->memberid, steps[i].id);
        call_free(c);
    }
    lone_end(m, disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_quota_raises_an_alarm),
        cmocka_unit_test(alarms_are_answered_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
