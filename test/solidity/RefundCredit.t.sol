// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IRefundCredit} from "../../contracts/lib/IRefundCredit.sol";
import {Flow} from "../../contracts/storage/Flow.sol";
import {SubmissionData, SubmissionNode} from "../../contracts/storage/IFlow.sol";
import {StorageMarket} from "../../contracts/storage/StorageMarket.sol";
import {Deployment, PRICE, StorageDeployment} from "./StorageDeployment.sol";
import {TestBase, vm} from "./TestBase.sol";

function oneSector() pure returns (SubmissionData memory data) {
    data.length = 256;
    data.nodes = new SubmissionNode[](1);
    data.nodes[0].root = keccak256("sector");
}

/// Takes no refund.
contract Refuser {
    function submit(Flow flow, uint256 value) external {
        flow.submit{value: value}(oneSector());
    }

    function renew(StorageMarket market, uint256 value) external {
        market.renew{value: value}(0, 1, 1);
    }

    function withdraw(IRefundCredit from, address payable to) external {
        from.withdrawCredit(to);
    }
}

/// Submits again when it gets its refund.
contract Reenterer {
    Flow private immutable _flow;

    constructor(Flow flow) {
        _flow = flow;
    }

    receive() external payable {
        _flow.submit{value: PRICE}(oneSector());
    }

    function submit(uint256 value) external {
        _flow.submit{value: value}(oneSector());
    }
}

/// Withdraws again while it withdraws.
contract DoubleWithdrawer is Refuser {
    IRefundCredit private immutable _from;
    bool public refused;

    constructor(IRefundCredit from) {
        _from = from;
    }

    receive() external payable {
        if (msg.sender != address(_from)) return;
        require(address(this).balance >= 1 ether, "the first refund is not taken");
        try _from.withdrawCredit(payable(address(this))) {
            refused = false;
        } catch {
            refused = true;
        }
    }
}

contract RefundCreditTest is TestBase, StorageDeployment {
    Deployment private _storage;
    Refuser private _refuser;

    function setUp() public {
        _storage = deployStorage(address(this), address(this), 1024);
        _refuser = new Refuser();
        vm.deal(address(_refuser), 1 ether);
    }

    function test_aRefundNotAcceptedBecomesCreditThatCanBeWithdrawnElsewhere() public {
        address payable elsewhere = payable(address(0xE15E));
        vm.expectEmit();
        emit IRefundCredit.RefundCredited(address(_refuser), 77);
        _refuser.submit(_storage.flow, PRICE + 77);
        vm.assertEq(_storage.flow.numSubmissions(), 1, "submitted all the same");
        vm.assertEq(_storage.flow.credits(address(_refuser)), 77, "credit of the flow");
        _refuser.renew(_storage.market, PRICE + 5);
        vm.assertEq(_storage.market.credits(address(_refuser)), 5, "credit of the market");

        vm.expectEmit();
        emit IRefundCredit.CreditWithdrawn(address(_refuser), elsewhere, 77);
        _refuser.withdraw(_storage.flow, elsewhere);
        _refuser.withdraw(_storage.market, elsewhere);
        vm.assertEq(elsewhere.balance, 82, "paid out");
        vm.expectRevert(abi.encodeWithSelector(IRefundCredit.NoCredit.selector, address(_refuser)));
        _refuser.withdraw(_storage.flow, elsewhere);
    }

    function test_creditIsKeptWhenItsReceiverRefusesIt() public {
        _refuser.submit(_storage.flow, PRICE + 77);
        vm.expectRevert(
            abi.encodeWithSelector(IRefundCredit.WithdrawalRejected.selector, address(_refuser), uint256(77))
        );
        _refuser.withdraw(_storage.flow, payable(address(_refuser)));
        vm.assertEq(_storage.flow.credits(address(_refuser)), 77, "credit");
    }

    function test_aRefundCannotReenter() public {
        Reenterer reenterer = new Reenterer(_storage.flow);
        vm.deal(address(reenterer), 1 ether);
        reenterer.submit(PRICE + 3 * PRICE);
        vm.assertEq(_storage.flow.numSubmissions(), 1, "submitted once");
        vm.assertEq(_storage.flow.credits(address(reenterer)), 3 * PRICE, "the refund became credit");
    }

    function test_creditIsWithdrawnOnce() public {
        DoubleWithdrawer withdrawer = new DoubleWithdrawer(_storage.flow);
        vm.deal(address(withdrawer), 0.5 ether);
        withdrawer.submit(_storage.flow, PRICE + 77);
        _refuser.submit(_storage.flow, PRICE + 1_000);
        vm.deal(address(withdrawer), 1 ether);
        withdrawer.withdraw(_storage.flow, payable(address(withdrawer)));
        vm.assertTrue(withdrawer.refused(), "a second withdrawal within the first");
        vm.assertEq(address(withdrawer).balance, 1 ether + 77, "its own credit only");
        vm.assertEq(address(_storage.flow).balance, 1_000, "the other's credit stays");
    }
}
