/* token_cases.h -- rows for token_test.c: claims, signed by another program with the key "secret",
 * at second 1000. */
/* {"username":"u","revision":5,"exp":1001} */
{"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6InUiLCJ"
 "yZXZpc2lvbiI6NSwiZXhwIjoxMDAxfQ.TQPZ4UMgvHtX44em6IL1gQ7c55kEN90pnTb12Ok5NMY",
 true},
    /* {"exp":1001.5,"revision":5.0,"username":"u"} */
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjEwMDEuNSwicmV"
     "2aXNpb24iOjUuMCwidXNlcm5hbWUiOiJ1In0.hLYQrpSMieFb8g2xDFqDoIahkAGBdSSBN3iK2gPI7FY",
     true},
    /* {"username":"u","revision":5} */
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6InUiLCJ"
     "yZXZpc2lvbiI6NX0.RGcrJGN0KfY4AJ_a5mqkwVTvlZI0LnEstHPh0frIQdw",
     true},
    /* {"username":"u","revision":5,"exp":0} */
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6InUiLCJ"
     "yZXZpc2lvbiI6NSwiZXhwIjowfQ.LpJyDjEkCzRdcv7xgU4UnXY1Wb4mTyyIw7qcTXsqEyk",
     true},
    /* {"username":"u","revision":5,"exp":1000} */
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6InUiLCJ"
     "yZXZpc2lvbiI6NSwiZXhwIjoxMDAwfQ.vXyG2xwxE-JI2NQ1r45r1TjBpvefkb7Lwci9sMPZt1k",
     false},
    /* {"username":"u","revision":5,"exp":"1001"} */
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6InUiLCJ"
     "yZXZpc2lvbiI6NSwiZXhwIjoiMTAwMSJ9.p6iRyMtYD5_Hktjhz1TwiU5KDw8Vc2p0oHh7Eh5fqK0",
     false},
    /* {"username":"u","revision":5,"nbf":1001} */
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6InUiLCJ"
     "yZXZpc2lvbiI6NSwibmJmIjoxMDAxfQ.WRoMAyXTR2MfGzbCCm6X1twZ15rGsw-PBPzKaU7Uyt8",
     false},
    /* {"username":"u","revision":5,"nbf":1000} */
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6InUiLCJ"
     "yZXZpc2lvbiI6NSwibmJmIjoxMDAwfQ.37MvHgvWop8X690lYBOYdfiUaXwNx4MfiOZ5uc6LF48",
     true},
    /* {"username":"u","revision":5,"iat":5000} */
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6InUiLCJ"
     "yZXZpc2lvbiI6NSwiaWF0Ijo1MDAwfQ.iNz2eEeaLOAh1FB8l25jTvmQeuUiq-TNYTfEV0p-VV4",
     true},
    /* {"revision":5} */
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJyZXZpc2lvbiI6NX0.l5O"
     "cCFujcRlUjFB7AjUMkovUGO0aeWgci7VE9kV9lFM",
     false},
    /* {"username":"u"} */
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6InUifQ."
     "th0hEwLhICUqkvH7aZaoIMYEppioKaQzwOrVxuJfwJM",
     false},
    /* {"username":1,"revision":5} */
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6MSwicmV"
     "2aXNpb24iOjV9.RwLRXe7HzBEdaZO6wy8BSAFl1RWkCECkmSjzB1jiTQM",
     false},
    /* {"username":"u","revision":"5"} */
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6InUiLCJ"
     "yZXZpc2lvbiI6IjUifQ.FG2rw2KD7ktmeUpzwu44MTmxw-4w_RXR5POz0QCOHqY",
     false},
    /* {"username":"u","revision":null} */
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6InUiLCJ"
     "yZXZpc2lvbiI6bnVsbH0.f3JDvrbSRXqedjtURJBm64J9i5dCJpF-0hPuaxJltco",
     false},
    /* ["u",5] */
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.WyJ1Iiw1XQ.Z7018ceK2X8B"
     "9Zd4YYhcpxLKSEWh0Zhi1SCzY_Qcn7o",
     false},
    /* {"username":"u","revision":5 */
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6InUiLCJ"
     "yZXZpc2lvbiI6NQ.SJ8tZ4LcOktXIsz2ETu7UHVc11oef1-LK7WQs5iOXgc",
     false},
    /* {"username":"u","revision":5} x */
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6InUiLCJ"
     "yZXZpc2lvbiI6NX0geA.jsdWtrq236_tnJS1CDqFBhrXMZjwyPVYYIpes1GCiAs",
     false},
    /*  */
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9..F6X5eXaBMszYO1kMrujBGG"
     "w4-FTJp2Uld6Daz9v3cu4",
     false},
    /* head {"alg":"none"} */
    {"eyJhbGciOiJub25lIn0.eyJ1c2VybmFtZSI6InUiLCJyZXZpc2lvbiI6NX0.MZWP_"
     "wdJFjH0IoeAkIAZtvV6ZUpHR3tN3-viWCjOlDQ",
     false},
    /* head {"typ":"JWT"} */
    {"eyJ0eXAiOiJKV1QifQ.eyJ1c2VybmFtZSI6InUiLCJyZXZpc2lvbiI6NX0.5PSJdlig-"
     "kr2PwfT6GPD3cz57gPzUdrA8X7vKqXyjDA",
     false},
    /* head {"alg":["HS256"]} */
    {"eyJhbGciOlsiSFMyNTYiXX0.eyJ1c2VybmFtZSI6InUiLCJyZXZpc2lvbiI6NX0.fuu7JWDp-j-"
     "VKwEll1QeQjEnXQU6hbWpn-tkVsuHi-Y",
     false},
    /* head {"alg":"HS256"} */
    {"eyJhbGciOiJIUzI1NiJ9.eyJ1c2VybmFtZSI6InUiLCJyZXZpc2lvbiI6NX0."
     "RVWVcDzoxHSmKmlfPu0u9BTDf1tevlFetvNsk0cLqaM",
     true},
